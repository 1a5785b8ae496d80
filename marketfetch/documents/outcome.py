"""The state of a job as sentences: counts, rejects and failures with their reasons."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from marketfetch.lengths import in_words
from marketfetch.phrases import counted, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketfetch import JobStatus, NextCall
    from marketfetch.jobs.refreshing import Refreshed

_MOST_SHOWN: Final = 10
_MOST_SYMBOLS: Final = 5
#: In the reason of a request whose symbol the vendor does not know.
_UNKNOWN_SYMBOL: Final = ": UnknownSymbol: "
#: Of a job without a request.
ALL_STORED: Final = "All of it is stored already: 0 calls. `marketfetch fetch ... --again` fetches a range anew."


def why_no_call(provider: str, symbols: Sequence[str], **wish: Any) -> str:
    """Why a wish takes no call: its range has no session, or all of it is stored."""
    from marketfetch.jobs.planning import make_spec, plan_new
    from marketfetch.jobs.without_sessions import no_session

    return no_session(plan_new(make_spec(provider, symbols, again=False, **wish))) or ALL_STORED


def of_refreshed(found: Sequence[Refreshed]) -> str:
    """Says of which symbols stored days are asked for again, and why; "" for none."""
    if not found:
        return ""
    one = found[0]
    more = f", and so are those of {counted(len(found) - 1, 'other symbol')}" if len(found) > 1 else ""
    return f"The stored days of {one.symbol} from {one.since} on are asked for again{more}: {one.symbol} {one.why}."


def sentences(state: JobStatus) -> list[str]:
    """Returns a line of counts, then whose job it is, then a line per reason, at most ten of each kind."""
    counts = state.requests
    parts = [
        f"{number:,} {word}"
        for number, word in (
            (counts.stored - state.empty, "stored"),
            (state.empty, "empty"),
            (counts.failed, "failed"),
            (counts.cancelled, "cancelled"),
            (counts.running, "running"),
            (counts.parked, "waiting"),
        )
        if number
    ]
    how = _STATES.get(state.state, state.state)
    requests = counted(counts.total, "request") + (f" ({', '.join(parts)})" if parts else "")
    rows = f"{counted(state.rows, 'row')}, {counted(state.rejects, 'reject')}"
    lines = [f"{state.provider} job {state.job} {how}: {requests}, {rows}."]
    if state.state == "running" and state.eta_seconds is not None:
        lines[0] += f" About {in_words(state.eta_seconds)} left."
    if whose := _handle(state):
        lines.append(f"  {whose}")
    if state.next_call:
        lines.append(f"  {waits(state.next_call)}")
    if state.corrected:
        lines.append(f"  corrected: {counted(state.corrected, 'final bar')} that had other values before")
    lines += [f"  warning: {sentence}" for sentence in state.changed_columns[:_MOST_SHOWN]]
    for reason, number in sorted(state.reject_reasons.items(), key=lambda one: -one[1])[:_MOST_SHOWN]:
        lines.append(f"  rejected: {number:,} × {reason}")
    reasons = Counter(failure.reason for failure in state.failures)
    for reason, number in list(reasons.items())[:_MOST_SHOWN]:
        lines.append(f"  failed: {f'{number:,} × ' if number > 1 else ''}{reason}")
    if len(reasons) > _MOST_SHOWN:
        lines.append(
            f"  ... and for {len(reasons) - _MOST_SHOWN} more reasons; `marketfetch status {state.job} --failed` lists all"
        )
    if any(": Unavailable: " in reason for reason in reasons):
        lines.append(
            "  A vendor gave no usable answer: `marketfetch check` shows where it is asked, before "
            f"`marketfetch retry {state.job}`."
        )
    if state.lacking_symbols:
        lines.append(f"  {_lacking(state)}")
    if state.empty_symbols:
        lines.append(f"  {_empty(state)}")
    elif state.state == "done" and not state.requests.total:
        lines.append("  No call was needed: all of it was stored already, or its range has no session.")
    elif state.state == "done" and not state.rows:
        lines.append(f"  {state.provider} has no rows for this range, or does not know the symbols: check range and spelling.")
    return lines


def _empty(state: JobStatus) -> str:
    """Says both that may be so: a vendor's reply to a short range is the same for a symbol that it does not know."""
    names = _names(state.empty_symbols, state.empty_symbols_total)
    them = "it" if state.empty_symbols_total == 1 else "them"
    return (
        f"No row came of {names}: {state.provider} has none for this range, or does not know {them}. Check range and spelling."
    )


def _lacking(state: JobStatus) -> str:
    """A reply with the whole market lacks a symbol without a trade, but also one that such replies leave out."""
    names = _names(state.lacking_symbols, state.lacking_symbols_total)
    them = "it by itself" if state.lacking_symbols_total == 1 else "each of them by itself"
    return (
        f"The replies with the whole market lack {names} on some sessions: not traded, or not part of them. "
        f"The same wish later asks for {them}, as `marketfetch gaps --repair` does."
    )


def _names(shown: list[str], total: int) -> str:
    """`A, B and 3 more`."""
    first = shown[:_MOST_SYMBOLS]
    more = total - len(first)
    return joined([*first, f"{more:,} more"] if more else first)


def _handle(state: JobStatus) -> str:
    """`name nightly, tags eod and us`; "" for a job without."""
    tags = f"tag{'s' if len(state.tags) > 1 else ''} {joined(state.tags)}" if state.tags else ""
    return ", ".join(filter(None, [f"name {state.name}" if state.name else "", tags]))


def next_step(state: JobStatus) -> str:
    """What a user may do about a job that is cancelled or has failed requests; "" for any other."""
    if state.state == "cancelled" or (state.state == "running" and state.requests.cancelled):
        return f"`marketfetch resume {state.job}` lets it go on."
    if state.state == "failed":
        from marketfetch.jobs.asked_again import is_refusal

        if unknown := unknown_symbols(state):
            what = "the corrected symbol" if len(unknown) == 1 else "the corrected symbols"
            return f"A retry would bring the same: fetch {what}. `marketfetch vendors` shows how each vendor writes them."
        refused = [one for one in state.failures if is_refusal(one.reason)]
        if refused and len(refused) == state.requests.failed:
            return "The vendor refused each failed request, and would refuse it again: correct what the reason names first."
        again = "makes the failed request again" if state.requests.failed == 1 else "makes the failed requests again"
        return f"`marketfetch retry {state.job}` {again}."
    return ""


def unknown_symbols(state: JobStatus) -> list[str]:
    """The symbols of the failed requests, where the vendor does not know any of them; none where one failed otherwise."""
    unknown = [one.symbol for one in state.failures if _UNKNOWN_SYMBOL in one.reason]
    return sorted(set(unknown)) if len(unknown) == state.requests.failed else []


def of_retry(state: JobStatus) -> str:
    """What a retry of this job will bring once more, as its failures are refusals; "" where a retry may help."""
    said = next_step(state) if state.state == "failed" else ""
    return "" if said.startswith("`marketfetch retry") else said


def waits(call: NextCall, seconds: int | None = None) -> str:
    """`next call in 37 s (limit 5/minute of key main)`; `seconds` if some have passed since."""
    left = call.seconds if seconds is None else seconds
    why = f"limit {call.limit} of key {call.key}" if call.limit else f"key {call.key} rests: {call.why}"
    return f"next call {f'in {in_words(left)}' if left else 'now'} ({why})"


def failure_lines(state: JobStatus) -> list[str]:
    """Every failed request of a job, a line each."""
    if not state.failures:
        return [f"No request of {state.job} has failed."]
    return [f"{one.request}  {one.reason}" for one in state.failures]


_STATES: Final = {"running": "is running", "done": "is done", "failed": "is over, with failures", "cancelled": "is cancelled"}
