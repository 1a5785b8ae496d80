"""Reports for operators: each key's use of its limits, and whether a pool makes progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from marketfetch.quotas.gate import Gate
from marketfetch.quotas.limits import Calendar, KeyLimits, Window
from marketfetch.quotas.values import Health, KeyReport, LimitUse

if TYPE_CHECKING:
    from redis.client import Pipeline

#: Work that may run is admitted within milliseconds, so this long without an admission means that no worker admits.
_STUCK_MS: Final = 60_000
_A_DAY_MS: Final = 86_400_000
#: The most stamps of a window that are read: of a larger window only the oldest, which say when one more call is free.
_MOST_STAMPS: Final = 1_000
#: What a key's hash has of the vendor's words about it: see lua/call.lua.
_VERDICTS: Final = ["suspect", "verdict", "unknown", "sentences", "sentence"]
#: A request whose grant has expired unstarted this often in a row: a message that is lost once or twice is no reason to alert.
AGAIN_AND_AGAIN: Final = 5
#: What a sentence says of such requests, after their number.
UNSTARTED: Final = "were granted 5 times in a row, and no worker has started them: see the workers' log"


def report(gate: Gate, keys: Sequence[KeyLimits]) -> list[KeyReport]:
    """Every key of the pool with each limit's use, its pause, and when it opens. Reads only; costs one round trip."""
    with gate.redis.pipeline(transaction=False) as pipe:
        pipe.time()
        readers = [ask(pipe, gate.prefix, key) for key in keys]
        replies = pipe.execute()
    return [read(replies, microseconds(replies[0])) for read in readers]


def ask(pipe: Pipeline, prefix: str, key: KeyLimits) -> Callable[[Sequence[Any], int], KeyReport]:
    """Adds the questions about a key to a pipeline; returns what reads the replies, at Redis's time in Unix us.

    `prefix`: of the key's gate.
    """
    first, now = len(pipe), datetime.now(UTC)
    long = [f"lost:{window.window_ms * 1000}" for window in key.windows]
    pipe.hmget(f"{prefix}key:{key.label}", ["until", "why", "aside", "full", "lost", *long])
    pipe.hmget(f"{prefix}key:{key.label}", _VERDICTS)
    pipe.scard(f"{prefix}open:{key.label}")
    pipe.hmget(f"{prefix}key:*", ["full", "lost", *long])
    pipe.zcard(f"{prefix}granted")
    pipe.zcard(f"{prefix}running")
    for window in key.windows:
        name = f"{prefix}{'done' if window.strict else 'early'}:{'*' if window.pool else key.label}"
        pipe.zcount(name, int(now.timestamp() * 1e6) - window.window_ms * 1000, "+inf")
        pipe.zrevrange(name, max(0, window.count - _MOST_STAMPS), window.count - 1, withscores=True)
    days = [calendar.periods(now) for calendar in key.calendars]
    for calendar, periods in zip(key.calendars, days, strict=True):
        pipe.mget([f"{prefix}{calendar.counter(key.label, day)}" for day, _, _ in periods])
    last = len(pipe)
    return lambda replies, now_us: _key(key, replies[first:last], days, now_us)


def microseconds(time: tuple[int, int]) -> int:
    """Redis's TIME as Unix us."""
    return time[0] * 1_000_000 + time[1]


def health(gate: Gate, keys: Sequence[KeyLimits]) -> Health:
    """Not ok when requests wait, a key is open, and nothing was admitted for a minute: no worker runs, or it is stuck.

    Nor when grants of the same requests expire again and again: no child starts what is admitted.

    While the database is unavailable the gate admits nothing on purpose, so the pool counts as ok.
    """
    with gate.redis.pipeline() as pipe:
        pipe.hmget(f"{gate.prefix}counts", ["fine", "away"])
        for ready in gate.ready_sets():
            pipe.zcard(ready)
        (fine_ms, away), *many_waiting = pipe.execute()
    waiting = sum(many_waiting)
    many = unstarted(gate)
    open_for_ms = max((one.open_for_ms for one in report(gate, keys)), default=0)
    idle_ms = gate.now_us() // 1000 - int(fine_ms or 0)
    stuck_ms = min(open_for_ms, idle_ms) if waiting and not away else 0
    ok = stuck_ms < _STUCK_MS and not many
    return Health(gate.pool, ok=ok, stuck_ms=stuck_ms, waiting=waiting, unstarted=many)


def unstarted(gate: Gate) -> int:
    """How many requests are granted again and again, and no worker starts them."""
    return int(gate.redis.zcount(f"{gate.prefix}unstarted", AGAIN_AND_AGAIN, "+inf"))


def _key(key: KeyLimits, replies: Sequence[Any], days: Sequence[Sequence[tuple[str, int, int]]], now_us: int) -> KeyReport:
    (until, why, aside, *unknown), verdicts, own, unknown_of_pool, granted, running, *rest = replies
    windows = [
        _window(
            window,
            granted + running if window.pool else own,
            rest[2 * i],
            [float(at) for _, at in rest[2 * i + 1]],
            now_us,
            _lost(unknown_of_pool if window.pool else unknown, i),
        )
        for i, window in enumerate(key.windows)
    ]
    uses = [use for use, _ in windows]
    uses += [
        _calendar(calendar, periods, counters, now_us)
        for calendar, periods, counters in zip(key.calendars, days, rest[2 * len(key.windows) :], strict=True)
    ]
    paused_ms = max(0, int(until or 0) - now_us // 1000)
    suspect, verdict, refusals, sentences, sentence = verdicts
    busy = (key.concurrency is not None and own >= key.concurrency) or (suspect and own > 0)
    waits = [use.resets_ms for use in uses]
    opens_ms = None if aside or busy or -1 in waits else max([paused_ms, *waits])
    return KeyReport(
        label=key.label,
        limits=tuple(uses),
        open_calls=own,
        paused_ms=paused_ms,
        paused_why=why.decode() if why and paused_ms else "",
        aside_why=aside.decode() if aside else "",
        opens_ms=opens_ms,
        open_for_ms=_open_for_ms(uses, since_pause_ms=now_us // 1000 - int(until or 0)) if opens_ms == 0 else 0,
        suspected_why=verdict.decode() if suspect and verdict else "",
        refusals=int(refusals or 0),
        unknown_sentences=int(sentences or 0),
        last_sentence=sentence.decode() if sentence else "",
        counted_ms=tuple(counted for _, counted in windows),
    )


def _open_for_ms(uses: Sequence[LimitUse], *, since_pause_ms: int) -> int:
    """For how long the key has allowed a call; a limit that was never used, or a key that was never paused, counts a day."""
    return min([since_pause_ms, _A_DAY_MS, *(use.free_for_ms for use in uses)])


def _window(
    window: Window, open_calls: int, young: int, stamps: list[float], now_us: int, lost: tuple[int, int]
) -> tuple[LimitUse, tuple[int, ...] | None]:
    """The use of a window, and for how long each of its calls counts on, in ms, soonest first: see KeyReport.

    `young`: how many stamps there are by this machine's clock, `stamps`: the latest, youngest first, as many as the window may
    hold, or the oldest `_MOST_STAMPS` of those. `lost`: calls without a stamp (-1: an unknown number, so the window is full),
    and when the last of them was made.
    """
    window_us, skipped = window.window_ms * 1000, max(0, window.count - _MOST_STAMPS)
    fresh = [at for at in stamps if at > now_us - window_us]
    if not skipped:
        # By Redis's clock. More than fit are there only after the limit was lowered.
        young = len(fresh) if len(fresh) < window.count else max(young, window.count)
    many, full_us = lost
    if (lost_ms := (full_us + window_us - now_us) // 1000) <= 0:
        many = 0
    counted = None if skipped else _counted(window, open_calls, fresh, now_us, many, lost_ms)
    left = window.count - 1 - open_calls
    if left < 0:
        # Only the end of an open call frees the window.
        return LimitUse(window.text, young + open_calls, window.count, -1), counted
    unknown = window.count if many < 0 else many
    if left < unknown:
        return LimitUse(window.text, min(window.count, young + open_calls + unknown), window.count, lost_ms), counted
    young, left = young + unknown, max(0, left - unknown - skipped)
    at = stamps[left] + window_us if left < len(stamps) else 0
    wait_ms = int((at - now_us) / 1000)
    return LimitUse(window.text, young + open_calls, window.count, max(0, wait_ms), free_for_ms=max(0, -wait_ms)), counted


def _counted(window: Window, open_calls: int, stamps: list[float], now_us: int, many: int, lost_ms: int) -> tuple[int, ...]:
    """An open call counts as made now."""
    stamped = [int(at + window.window_ms * 1000 - now_us) // 1000 for at in stamps]
    lost = [lost_ms] * (window.count if many < 0 else min(many, window.count))
    return tuple(sorted([*stamped, *lost, *[window.window_ms] * open_calls])[-window.count :])


def _lost(unknown: Sequence[bytes | None], window: int) -> tuple[int, int]:
    """The lost calls that count for this window: its own number if it has one, otherwise the key's."""
    full, lost, *long = unknown
    of_window = long[window]
    return int((lost if of_window is None else of_window) or 0), int(full or 0)


def _calendar(
    calendar: Calendar, periods: Sequence[tuple[str, int, int]], counters: Sequence[bytes | None], now_us: int
) -> LimitUse:
    # Today by Redis's clock. Where that is days off this machine's, the releaser reports it and admits nothing.
    today = [one for one in zip(periods, counters, strict=True) if one[0][1] <= now_us < one[0][2]]
    (_, starts, ends), used = today[0] if today else (periods[1], None)
    if int(used or 0) >= calendar.count:
        return LimitUse(calendar.text, int(used or 0), calendar.count, (ends - now_us) // 1000)
    return LimitUse(calendar.text, int(used or 0), calendar.count, 0, free_for_ms=(now_us - starts) // 1000)
