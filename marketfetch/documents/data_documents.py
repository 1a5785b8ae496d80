"""The documents of stored data: shown bars and records, what the doctor finds, comparisons of vendors, exports."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch.frames.comparing import Comparison
    from marketfetch.frames.data_doctor import DataFinding, Examined
    from marketfetch.frames.exporting import Exported
    from marketfetch.schemas.bars import BarColumns
    from marketfetch.storage.stored_series import StoredSeries


class ShownBar(TypedDict):
    """A bar: its start in Unix ms and as ISO 8601, the date of its session (null: its zone is not known), and its values.

    `partial`: it could still change when it was fetched.
    """

    ts: int
    at: str
    date: str | None
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None
    vwap: float | None
    trades: float | None
    partial: bool


class ShownSeries(TypedDict):
    """The bars of a series, oldest first. `zone` is that of its sessions."""

    provider: str
    symbol: str
    timespan: str
    adjustment: str
    zone: str | None
    bars: list[ShownBar]


class ShownUniverse(TypedDict):
    """The series of a universe's symbols."""

    series: list[ShownSeries]


class ShownRecords(TypedDict):
    """The last rows of a dataset, by the names of their columns (docs/datasets.md), of `total` that are stored."""

    dataset: str
    rows: list[dict[str, Any]]
    total: int


class FoundSymbols(TypedDict):
    """What a search brought: the job of its call, the job's state, and the rows as the table `symbols` has them."""

    job: str
    state: str
    rows: list[dict[str, Any]]


class DoctorFinding(TypedDict):
    """Something suspicious in a series, from day to day: level error, warning or note, the finding and what to do about it."""

    provider: str
    symbol: str
    adjustment: str | None
    kind: str
    level: str
    first: str
    last: str
    sentence: str
    todo: str


class DoctorFindings(TypedDict):
    """How much was looked at, how many findings there are by level, and those that --limit lists."""

    series: int
    bars: int
    counts: dict[str, int]
    findings: list[DoctorFinding]


class Disagreement(TypedDict):
    """Two values of a session's field; `cause` explains them, "" where nothing does."""

    date: str
    field: str
    left: float
    right: float
    cause: str


class ComparedSymbol(TypedDict):
    """The sessions of a symbol that both vendors have, how many disagree and why; the lists have so many as --limit says."""

    symbol: str
    left: str
    right: str
    adjustment: str
    first: str | None
    last: str | None
    sessions: int
    disagree: int
    explained: dict[str, int]
    unexplained: int
    volumes: int
    volume_causes: dict[str, int]
    only_left: list[str]
    only_right: list[str]
    disagreements: list[Disagreement]


class Comparisons(TypedDict):
    """The comparison of each symbol."""

    comparisons: list[ComparedSymbol]


class FilesOfExport(TypedDict):
    """How many files were written, and were there from the run before (`skipped`); `rows` counts those of both."""

    files: int
    skipped: int
    rows: int
    destination: str
    new_folder: str


def shown_series(series: StoredSeries, bars: BarColumns, days: Sequence[date] | None) -> ShownSeries:
    """`days` are the dates of the sessions, None where the zone is not known."""
    from marketfetch.schemas.columns_of_bars import FLOAT_COLUMNS

    rows = []
    for i, ts in enumerate(bars.ts.tolist()):
        values = {name: float(getattr(bars, name)[i]) for name in FLOAT_COLUMNS}
        numbers = {name: None if math.isnan(value) else value for name, value in values.items()}
        at = datetime.fromtimestamp(ts / 1000, UTC).isoformat().replace("+00:00", "Z")
        day = None if days is None else str(days[i])
        rows.append(cast("ShownBar", {"ts": ts, "at": at, "date": day, **numbers, "partial": bool(bars.partial[i])}))
    return {
        "provider": series.provider,
        "symbol": series.symbol,
        "timespan": series.timespan,
        "adjustment": series.adjustment,
        "zone": series.zone,
        "bars": rows,
    }


def shown_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for JSON: days and times as ISO 8601, the cells of a table as an object."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in ("row_key", "cells"):
            found[name] = json.loads(value)
        elif isinstance(value, datetime):
            found[name] = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        else:
            found[name] = str(value) if isinstance(value, date) else value
    return found


def doctor_findings(seen: Examined, chosen: Sequence[DataFinding]) -> DoctorFindings:
    levels = Counter(one.finding.level for one in seen.findings)
    counts = {level: sum(n for found, n in levels.items() if found == level) for level in ("error", "warning", "note")}
    return {"series": seen.series, "bars": seen.bars, "counts": counts, "findings": [_finding(one) for one in chosen]}


def _finding(one: DataFinding) -> DoctorFinding:
    return {
        "provider": one.provider,
        "symbol": one.symbol,
        "adjustment": one.adjustment or None,
        "kind": one.finding.kind,
        "level": one.finding.level,
        "first": one.finding.first.isoformat(),
        "last": one.finding.last.isoformat(),
        "sentence": one.finding.sentence,
        "todo": one.finding.todo,
    }


def comparisons(found: Sequence[Comparison], limit: int) -> Comparisons:
    return {"comparisons": [_compared(one, limit) for one in found]}


def explanations(one: Comparison) -> Counter[str]:
    """How many disagreements each cause explains."""
    return Counter(other.explained for other in one.disagreements if other.explained)


def _compared(one: Comparison, limit: int) -> ComparedSymbol:
    return {
        "symbol": one.symbol,
        "left": one.left,
        "right": one.right,
        "adjustment": one.adjustment,
        "first": str(one.first) if one.first else None,
        "last": str(one.last) if one.last else None,
        "sessions": one.sessions,
        "disagree": len(one.disagreements),
        "explained": dict(explanations(one)),
        "unexplained": one.unexplained,
        "volumes": one.volumes,
        "volume_causes": dict(one.volume_causes),
        "only_left": [str(day) for day in one.only_left[:limit]],
        "only_right": [str(day) for day in one.only_right[:limit]],
        "disagreements": [
            {"date": str(other.day), "field": other.field, "left": other.left, "right": other.right, "cause": other.explained}
            for other in one.disagreements[:limit]
        ],
    }


def files_of_export(done: Exported) -> FilesOfExport:
    return cast("FilesOfExport", asdict(done))
