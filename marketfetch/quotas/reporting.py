"""Reports for operators: each key's use of its limits, and whether a pool makes progress."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from marketfetch.quotas.gate import Gate
from marketfetch.quotas.limits import Calendar, KeyLimits, Window
from marketfetch.quotas.values import Health, KeyReport, LimitUse

#: Work that may run is admitted within milliseconds, so this long without an admission means that no worker admits.
_STUCK_MS: Final = 60_000
_A_DAY_MS: Final = 86_400_000
#: What a key's hash has of the vendor's words about it: see lua/call.lua.
_VERDICTS: Final = ["suspect", "verdict", "unknown", "sentences", "sentence"]
#: A request whose grant has expired unstarted this often in a row: a message that is lost once or twice is no reason to alert.
_AGAIN_AND_AGAIN: Final = 5
#: What a sentence says of such requests, after their number.
UNSTARTED: Final = "were granted 5 times in a row, and no worker has started them: see the workers' log"


def report(gate: Gate, keys: Sequence[KeyLimits]) -> list[KeyReport]:
    """Every key of the pool with each limit's use, its pause, and when it opens. Reads only; costs one round trip per key."""
    return [_key(gate, key) for key in keys]


def health(gate: Gate, keys: Sequence[KeyLimits]) -> Health:
    """Not ok when requests wait, a key is open, and nothing was admitted for a minute: no worker runs, or it is stuck.

    Nor when grants of the same requests expire again and again: no child starts what is admitted.

    While the database is unavailable the gate admits nothing on purpose, so the pool counts as ok.
    """
    with gate.redis.pipeline() as pipe:
        pipe.zcard(f"{gate.prefix}ready")
        pipe.hmget(f"{gate.prefix}counts", ["fine", "away"])
        waiting, (fine_ms, away) = pipe.execute()
    many = unstarted(gate)
    open_for_ms = max((one.open_for_ms for one in report(gate, keys)), default=0)
    idle_ms = _now_us(gate) // 1000 - int(fine_ms or 0)
    stuck_ms = min(open_for_ms, idle_ms) if waiting and not away else 0
    ok = stuck_ms < _STUCK_MS and not many
    return Health(gate.pool, ok=ok, stuck_ms=stuck_ms, waiting=waiting, unstarted=many)


def unstarted(gate: Gate) -> int:
    """How many requests are granted again and again, and no worker starts them."""
    return int(gate.redis.zcount(f"{gate.prefix}unstarted", _AGAIN_AND_AGAIN, "+inf"))


def _key(gate: Gate, key: KeyLimits) -> KeyReport:
    now_us = _now_us(gate)
    now = datetime.fromtimestamp(now_us / 1e6, UTC)
    long = [f"lost:{window.window_ms * 1000}" for window in key.windows]
    with gate.redis.pipeline() as pipe:
        pipe.hmget(f"{gate.prefix}key:{key.label}", ["until", "why", "aside", "full", "lost", *long])
        pipe.hmget(f"{gate.prefix}key:{key.label}", _VERDICTS)
        pipe.scard(f"{gate.prefix}open:{key.label}")
        pipe.hmget(f"{gate.prefix}key:*", ["full", "lost", *long])
        pipe.zcard(f"{gate.prefix}granted")
        pipe.zcard(f"{gate.prefix}running")
        for window in key.windows:
            label = "*" if window.pool else key.label
            name = f"{gate.prefix}{'done' if window.strict else 'early'}:{label}"
            pipe.zcount(name, now_us - window.window_ms * 1000, "+inf")
            pipe.zrevrange(name, 0, window.count - 1, withscores=True)
        for calendar in key.calendars:
            pipe.get(f"{gate.prefix}{_counter(key.label, calendar, now)}")
        (until, why, aside, *unknown), verdicts, own, unknown_of_pool, granted, running, *rest = pipe.execute()
    uses = [
        _window(
            window,
            granted + running if window.pool else own,
            rest[2 * i],
            rest[2 * i + 1],
            now_us,
            _lost(unknown_of_pool if window.pool else unknown, i),
        )
        for i, window in enumerate(key.windows)
    ]
    uses += [
        _calendar(calendar, int(used or 0), now, now_us)
        for calendar, used in zip(key.calendars, rest[2 * len(key.windows) :], strict=True)
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
    )


def _open_for_ms(uses: Sequence[LimitUse], *, since_pause_ms: int) -> int:
    """For how long the key has allowed a call; a limit that was never used, or a key that was never paused, counts a day."""
    return min([since_pause_ms, _A_DAY_MS, *(use.free_for_ms for use in uses)])


def _window(window: Window, open_calls: int, young: int, stamps: list[Any], now_us: int, lost: tuple[int, int]) -> LimitUse:
    """`lost`: calls without a stamp (-1: an unknown number, so the window is full), and when the last of them was made."""
    left = window.count - 1 - open_calls
    if left < 0:
        # Only the end of an open call frees the window.
        return LimitUse(window.text, young + open_calls, window.count, -1)
    many, full_us = lost
    if full_us + window.window_ms * 1000 > now_us:
        unknown = window.count if many < 0 else many
        if left < unknown:
            opens_ms = (full_us - now_us) // 1000 + window.window_ms
            return LimitUse(window.text, min(window.count, young + open_calls + unknown), window.count, opens_ms)
        young, left = young + unknown, left - unknown
    at = float(stamps[left][1]) + window.window_ms * 1000 if left < len(stamps) else 0
    wait_ms = int((at - now_us) / 1000)
    return LimitUse(window.text, young + open_calls, window.count, max(0, wait_ms), free_for_ms=max(0, -wait_ms))


def _lost(unknown: Sequence[bytes | None], window: int) -> tuple[int, int]:
    """The lost calls that count for this window: its own number if it has one, otherwise the key's."""
    full, lost, *long = unknown
    of_window = long[window]
    return int((lost if of_window is None else of_window) or 0), int(full or 0)


def _calendar(calendar: Calendar, used: int, now: datetime, now_us: int) -> LimitUse:
    starts, ends = next((start, end) for _, start, end in calendar.periods(now) if start <= now_us < end)
    if used >= calendar.count:
        return LimitUse(calendar.text, used, calendar.count, (ends - now_us) // 1000)
    return LimitUse(calendar.text, used, calendar.count, 0, free_for_ms=(now_us - starts) // 1000)


def _counter(label: str, calendar: Calendar, now: datetime) -> str:
    return calendar.counter(label, now.astimezone(calendar.zone_info).date().isoformat())


def _now_us(gate: Gate) -> int:
    seconds, micros = gate.redis.time()
    return int(seconds) * 1_000_000 + int(micros)
