"""What is taken from a reply, made harmless before it is stored, logged or shown: redacted, printable, bounded.

Rows are no part of it: they are parsed from the bytes as they came, so a key that equals a symbol or a number changes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from marketfetch.printable import printable
from marketfetch.redaction import CUT, redact
from marketfetch.schemas.bars import BarSeries
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.page import Page, Quirk, SeriesCount
from marketfetch.schemas.rejects import Reject, Rejects
from marketfetch.schemas.request import Request
from marketfetch.schemas.table_columns import TableColumns
from marketfetch.vendors.errors import FetchError, RateLimited, TooManyRejects, Transient, Unavailable
from marketfetch.vendors.reply_parsing import bounded_wait_ms

Named = TypeVar("Named", BarSeries, SeriesCount)

#: Characters of a name (a field, a symbol, a quirk), of a value, of a reason, and of a sentence.
_NAME, _VALUE, _REASON, _SENTENCE = 100, 200, 300, 1_000
#: A longer name of a next page would have to be kept and sent with every call, and is no name.
LONGEST_CURSOR = 8_192


def harmless_page(page: Page, request: Request, secrets: Sequence[str]) -> Page:
    """The page with harmless texts. Raises Unavailable where the name of its next page is damaged."""
    return replace(
        page,
        series=_series(page.series),
        counts=tuple(_with_harmless_symbol(one) for one in page.counts),
        rejects=_rejects(page, request, secrets),
        quirks=tuple(Quirk(harmless_text(one.name, secrets, _NAME), one.rows) for one in page.quirks),
        next=_cursor(page.next, request, secrets),
        check=_cursor(page.check, request, secrets),
        columns=_columns(page.columns, secrets),
    )


def harmless_error(error: FetchError, request: Request, secrets: Sequence[str]) -> FetchError:
    """The same error with a harmless sentence, and with a wait that is a number."""
    error.message = harmless_text(error.message, secrets, _SENTENCE)
    error.args = (error.message,)
    if isinstance(error, RateLimited | Transient):
        error.retry_after_ms = bounded_wait_ms(error.retry_after_ms)
    if isinstance(error, TooManyRejects) and error.page is not None:
        error.page = harmless_page(replace(error.page, next=None), request, secrets)
    return error


def harmless_text(text: str, secrets: Sequence[str], most: int) -> str:
    """The text without a secret, on one printable line of at most `most` characters."""
    # Redacted first, as an escape or a cut could hide a part of the key; cut before that, as redacting takes time.
    bounded = str(text)[: 20 * most]
    shown = redact(bounded, secrets)
    if len(bounded) < len(str(text)):
        # The cut may have halved a key, and what was redacted before it makes room for that half.
        shown = shown[: max(0, len(shown) - 20 * max(map(len, secrets), default=0))]
    return printable(shown, most=most)


def _with_harmless_symbol(one: Named) -> Named:
    harmless = one.symbol.isprintable() and len(one.symbol) <= _VALUE
    return one if harmless else replace(one, symbol=printable(one.symbol, most=_VALUE))


def _series(series: Sequence[BarSeries]) -> Sequence[BarSeries]:
    if isinstance(series, CrossSection) and all(map(str.isprintable, series.symbols)):
        return series  # its symbols have passed the check of a symbol, which bounds them
    return tuple(_with_harmless_symbol(one) for one in series)


def _rejects(page: Page, request: Request, secrets: Sequence[str]) -> Rejects:
    rejects = page.rejects if isinstance(page.rejects, Rejects) else Rejects.together(page.rejects)

    def reworded(one: Reject) -> Reject:
        # The symbol that was asked for is our own word.
        symbol = one.symbol if one.symbol == request.symbol else harmless_text(one.symbol, secrets, _NAME)
        field, reason = harmless_text(one.field, secrets, _NAME), harmless_text(one.reason, secrets, _REASON)
        return Reject(one.row, field, harmless_text(one.value, secrets, _VALUE), reason, symbol)

    def cause(old: str) -> str:
        # Redacted as a whole first: a key may hold a colon and a space itself.
        field, _, reason = redact(old[: 20 * _REASON], secrets).partition(": ")
        if not reason:
            return harmless_text(old, secrets, _REASON)
        return f"{harmless_text(field, secrets, _NAME)}: {harmless_text(reason, secrets, _REASON)}"

    return rejects.worded(reworded, cause)


def _columns(columns: TableColumns | None, secrets: Sequence[str]) -> TableColumns | None:
    if columns is None:
        return None
    known = set(columns.reads)
    names = [one if one in known else harmless_text(one, secrets, _NAME) for one in columns.names]
    return replace(columns, table=harmless_text(columns.table, secrets, _VALUE), names=tuple(dict.fromkeys(names)))


def _cursor(cursor: str | None, request: Request, secrets: Sequence[str]) -> str | None:
    """The name of the next page, without a parameter that holds the key. It goes into a URL, a message and a table."""
    if cursor is None:
        return None
    damaged = f"{request.provider} names a next page for {request.symbol} that is no text of at most 8 kB: the reply is damaged"
    if not isinstance(cursor, str) or len(cursor) > LONGEST_CURSOR or not (cursor.isascii() and cursor.isprintable()):
        raise Unavailable(damaged)
    path, mark, query = cursor.partition("?")
    # A key that equals the symbol is in our own request already, and its place in the path names the rows.
    hidden = [one for one in secrets if one not in request.symbol]
    if redact(cursor, hidden) != cursor or redact(query, secrets) != query:
        # Redacted as a whole first: a key may hold an ampersand itself.
        kept = [one for one in redact(query, secrets).split("&") if CUT not in one]
        cursor = f"{path}{mark if kept else ''}{'&'.join(kept)}"
        if redact(cursor, hidden) != cursor:
            raise Unavailable(
                f"{request.provider} names a next page for {request.symbol} that holds the key: the reply is damaged"
            )
    return cursor
