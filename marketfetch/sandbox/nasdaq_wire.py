"""Nasdaq Data Link's two APIs, datasets and datatables, and its error bodies. https://docs.data.nasdaq.com/docs/error-codes"""

from __future__ import annotations

import csv
import io
import json
import uuid
from typing import Any, Final

from marketfetch.sandbox.judge import KeyLog
from marketfetch.sandbox.reply import Reply, json_reply

MESSAGES: Final = {
    "QEAx01": (400, "We could not recognize your API key. Please check your API key and try again."),
    "QECx01": (400, "We could not recognize the URL you requested: {url}. Please check your URL and try again."),
    "QECx02": (404, "You have submitted an incorrect Quandl code. Please check your Quandl codes and try again."),
    "QECx06": (410, "This dataset has been retired and is no longer available."),
    "QELx02": (429, "You have exceeded the limit of {limit} for registered users. Please try again tomorrow."),
    "QELx04": (429, "You have exceeded the API speed limit of {limit}. Please slow down your requests."),
    "QEPx04": (
        403,
        "You do not have permission to view this dataset. Please subscribe to this database to get access.",
    ),
    "QESx04": (422, "You have submitted incorrect query parameters: {name}."),
    "QESx06": (400, "The cursor you have submitted is incorrect or has expired."),
    "QESx07": (422, "You cannot use the {name} operator on this column."),
    "QESx08": (422, "You cannot use {name} column as a filter."),
}


def error(code: str, *, form: str = "json", symbol: str = "", **words: str) -> Reply:
    """The vendor's error in the format that was asked for."""
    status, message = MESSAGES[code]
    message = message.format(**words)
    if form == "csv":
        return Reply(status, f"code,message\n{code},{message}\n".encode(), "text/csv", _request_headers(), symbol)
    return json_reply(
        {"quandl_error": {"code": code, "message": message}}, status=status, symbol=symbol, headers=_request_headers()
    )


def json_page(document: dict[str, Any], *, symbol: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A good JSON reply with the headers that recordings show."""
    return Reply(200, json.dumps(document).encode(), "application/json; charset=utf-8", (*_request_headers(), *headers), symbol)


def csv_page(header: list[str], rows: list[list[Any]], *, symbol: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A good CSV reply; nulls are empty."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if value is None else value for value in row] for row in rows)
    return Reply(200, lines.getvalue().encode(), "text/csv", (*_request_headers(), *headers), symbol)


def quota_headers(log: KeyLog) -> tuple[tuple[str, str], ...]:
    """The headers of the day's allowance and its remainder, which the vendor sends with each reply."""
    daily = [window.limit.count for window in log.windows if window.limit.window_s >= 86_400]
    allowed = min(daily, default=50_000)
    return (("x-ratelimit-limit", str(allowed)), ("x-ratelimit-remaining", str(max(allowed - len(log.arrivals), 0))))


def _request_headers() -> tuple[tuple[str, str], ...]:
    return (("X-Request-Id", str(uuid.uuid4())), ("Cache-Control", "no-store"), ("X-Runtime", "0.01"))
