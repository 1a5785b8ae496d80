"""Bad rows: spoils a few rows of a good reply, and lists exactly which.

Row numbers count from 0 in the reply's own order, as a reader meets them. The same reply is always spoilt in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from marketfetch.sandbox.reply import Reply

#: The kinds of damage, in turn.
KINDS: Final = ("negative price", "high below low", "not a number", "missing field", "negative volume")

#: A spoilt row's entry in the log.
Entry = dict[str, Any]


def damage(vendor: str, reply: Reply, *, count: int) -> tuple[Reply, list[Entry]]:
    """Spoils up to `count` rows, one of each kind in turn, evenly spread. A reply without rows stays as it is."""
    if not reply.content_type.startswith("application/json"):
        return _csv(reply, count)
    document = json.loads(reply.body)
    entries: list[Entry] = []
    if vendor == "polygon" and isinstance(document.get("results"), list):
        rows = document["results"]
        document["results"], entries = _spoil(rows, count, _polygon_row, lambda row: row["t"])
    elif vendor == "alpha_vantage":
        key = next((name for name in document if name.startswith(("Time Series", "Weekly", "Monthly"))), None)
        if key:
            rows, entries = _spoil(list(document[key].items()), count, _alpha_vantage_row, lambda row: row[0])
            document[key] = dict(rows)
    elif vendor == "nasdaq":
        holder, names = nasdaq_table(document)
        if holder is not None:
            at = {name.lower().removeprefix("adj. "): i for i, name in reversed(list(enumerate(names)))}
            holder["data"], entries = _spoil(
                holder["data"], count, lambda row, kind: _nasdaq_row(row, kind, at), lambda row: row[at["date"]]
            )
    return replace(reply, body=json.dumps(document).encode()), entries


def _spoil(
    rows: list[Any], count: int, spoil: Callable[[Any, str], tuple[Any, str]], when: Callable[[Any], Any]
) -> tuple[list[Any], list[Entry]]:
    """Replaces rows by spoilt copies."""
    kinds = {int((i + 0.5) * len(rows) / count): KINDS[i % len(KINDS)] for i in range(min(count, len(rows)))}
    found: list[Any] = []
    entries: list[Entry] = []
    for i, row in enumerate(rows):
        kind = kinds.get(i)
        if kind is None:
            found.append(row)
            continue
        bad, field = spoil(row, kind)
        entries.append({"row": len(found), "kind": kind, "field": field, "at": when(row)})
        found.append(bad)
    return found, entries


def _polygon_row(row: dict[str, Any], kind: str) -> tuple[dict[str, Any], str]:
    if kind == "negative price":
        return row | {"l": -abs(row["l"])}, "low"
    if kind == "high below low":
        return row | {"h": row["l"], "l": row["h"] + 1}, "low"
    if kind == "not a number":
        return row | {"c": "NaN"}, "close"
    if kind == "negative volume":
        return row | {"v": -1.0}, "volume"
    return {name: value for name, value in row.items() if name != "o"}, "open"


def _alpha_vantage_row(row: tuple[str, dict[str, str]], kind: str) -> tuple[tuple[str, dict[str, str]], str]:
    at, numbers = row
    names = {name.split(". ", 1)[1]: name for name in numbers}
    if kind == "negative price":
        return (at, numbers | {names["low"]: f"-{numbers[names['low']]}"}), "low"
    if kind == "high below low":
        swapped = {names["high"]: numbers[names["low"]], names["low"]: str(float(numbers[names["high"]]) + 1)}
        return (at, numbers | swapped), "low"
    if kind == "not a number":
        return (at, numbers | {names["close"]: "NaN"}), "close"
    if kind == "negative volume" and "volume" in names:
        return (at, numbers | {names["volume"]: "-1"}), "volume"
    return (at, {name: value for name, value in numbers.items() if name != names["open"]}), "open"


def _nasdaq_row(row: list[Any], kind: str, at: dict[str, int]) -> tuple[list[Any], str]:
    row = list(row)
    value = at.get("close", at.get("value", len(row) - 1))
    if kind == "negative price" or "low" not in at:
        row[at.get("low", value)] = -abs(row[at.get("low", value)] or 1.0)
        return row, "low" if "low" in at else "close"
    if kind == "high below low":
        row[at["high"]], row[at["low"]] = row[at["low"]], row[at["high"]] + 1
        return row, "low"
    if kind == "not a number":
        row[value] = "NaN"
        return row, "close"
    if kind == "negative volume" and "volume" in at:
        row[at["volume"]] = -1.0
        return row, "volume"
    row[at["open"]] = None
    return row, "open"


def nasdaq_table(document: dict[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    for root in ("dataset_data", "dataset"):
        if isinstance(document.get(root), dict) and "data" in document[root]:
            return document[root], document[root]["column_names"]
    table = document.get("datatable")
    if isinstance(table, dict) and "data" in table:
        return table, [column["name"] for column in table["columns"]]
    return None, []


def _csv(reply: Reply, count: int) -> tuple[Reply, list[Entry]]:
    end = "\r\n" if b"\r\n" in reply.body else "\n"
    header, *lines = reply.body.decode().split(end)
    names = [name.lower() for name in header.split(",")]
    rows = [line.split(",") for line in lines if line]
    if not rows or "close" not in names:
        return reply, []
    day = names.index("timestamp" if "timestamp" in names else "date")

    def spoil(row: list[str], kind: str) -> tuple[list[str], str]:
        row = list(row)
        low, high = names.index("low"), names.index("high")
        if kind == "negative price":
            row[low] = f"-{row[low]}"
            return row, "low"
        if kind == "high below low":
            row[high], row[low] = row[low], str(float(row[high]) + 1)
            return row, "low"
        if kind == "not a number":
            row[names.index("close")] = "NaN"
            return row, "close"
        if kind == "negative volume" and "volume" in names:
            row[names.index("volume")] = "-1"
            return row, "volume"
        row[names.index("open")] = ""
        return row, "open"

    rows, entries = _spoil(rows, count, spoil, lambda row: row[day])
    return replace(reply, body=end.join([header, *(",".join(row) for row in rows), ""]).encode()), entries
