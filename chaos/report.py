"""The report: each promise beside its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rich.table import Table

from chaos.results import Results

#: The allowed share of calls that no fault and no crash explains: a worker may crash between a reply and keeping it.
MOST_CALLS: Final = 1.02
RECOVERY_S: Final = 30


@dataclass(frozen=True, slots=True)
class Line:
    """One promise. `reach` and `reached` are texts for people."""

    what: str
    reach: str
    reached: str
    ok: bool


def lines(found: Results) -> list[Line]:
    """Every promise, in the order of the report."""
    one, two, books = found.chaos, found.emptied, found.books
    counts = books.outcomes
    over = counts.get("stored", 0) + counts.get("empty", 0) + counts.get("failed", 0) - books.without_reason
    accounted = one.requests + one.calls.forced + one.calls.cut
    share = one.calls.calls / accounted
    bound = one.needed_s + RECOVERY_S
    left = sum(map(len, found.left.values()))
    every = one.requests + two.requests
    return [
        Line("requests stored, empty, or failed with a reason", f"{every:,}", f"{over:,}", over == every),
        _none("rows missing", books.missing),
        _none("rows doubled", books.doubled),
        _none("rows altered", books.altered),
        _none("bad rows stored", books.bad_stored),
        _none("bad rows without a reject", books.bad_without_reject),
        _none("calls over a limit", one.calls.violations),
        Line("calls / calls accounted for", f"<= {MOST_CALLS}", f"{share:.3f}", share <= MOST_CALLS),
        Line("last fault to last row, s", f"<= {bound:.0f}", f"{one.recovered_s:.0f}", one.recovered_s <= bound),
        _none("left over afterwards", left),
        _none("workers that ended by themselves", len(found.own_ends)),
        _none("tracebacks in the workers' logs", found.log["Traceback"]),
        Line("Redis emptied: requests over", f"{two.requests:,}", f"{two.over:,}", two.over == two.requests),
        _none("Redis emptied: finished requests fetched again", two.again),
        _none("Redis emptied: calls over a limit", two.violations),
    ]


def table(found: Results) -> Table:
    """The report as a table."""
    one, books = found.chaos, found.books
    shown = Table(title=f"Chaos, seed {found.seed}", title_justify="left", caption_justify="left")
    for name in ("", "reach", "reached", ""):
        shown.add_column(name, justify="left" if not name else "right")
    for line in lines(found):
        shown.add_row(line.what, line.reach, line.reached, "" if line.ok else "MISSED")
    done = ", ".join(f"{name} {count}x" for name, count in one.blows.items())
    caption = (
        f"{one.requests:,} requests in {one.took_s:.0f} s; {books.rows:,} rows, {books.rejects} rejects; {books.outcomes}",
        f"{one.calls.calls:,} calls: {one.calls.forced} failed by a fault, {one.calls.cut} cut before their last byte",
        done,
        f"{one.dead} dead messages in the dead-letter list, {one.unacked} messages of killed workers unacknowledged",
        f"Redis emptied with {found.emptied.over_before} of {found.emptied.requests} requests over",
    )
    shown.caption = "\n".join(caption)
    return shown


def _none(what: str, count: int) -> Line:
    return Line(what, "0", f"{count:,}", count == 0)
