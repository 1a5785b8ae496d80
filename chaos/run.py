"""One run: submit, hit, wait, look. Two phases: everything at once, then Redis emptied in the middle of a quieter job."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

import psycopg
from redis.exceptions import RedisError

from chaos.blows import BLOWS
from chaos.books import audit
from chaos.found import Calls, Emptied, Found, Phase
from chaos.place import Place, a_place, faults, pause, until
from chaos.plan import PROVIDERS, Job, Limits, Size, blows, jobs, limits
from marketfetch.sandbox.sessions import NEW_YORK

#: Kinds of replies after which the vendor must be asked again.
_FORCING: Final = ("500", "503", "reset", "truncate", "html", "hang")
#: What the gate remembers of its keys, whoever asks for what.
_REMEMBERED: Final = re.compile(
    r"mf:\{\w+\}:(tags|counts|epoch|over|(key|done|early|day):.*)|mf:(releaser:.*|trouble:.*|sweeping|dead)"
)
#: A disturbed run that takes so many times what an undisturbed one takes has come to a stop.
_AT_MOST: Final = 3.0


def run(size: Size, *, seed: int, folder: Path, settings: Mapping[str, str], tell: Callable[[str], None]) -> Found:
    """`tell` is given a sentence now and then. Raises RuntimeError when the installation can't even be set up."""
    today, mine = datetime.now(NEW_YORK).date(), limits(size)
    first = jobs(seed, size.requests, skip=0, today=today)
    second = jobs(seed, max(30, size.requests // 7), skip=size.requests, today=today)
    with a_place(folder, seed=seed, limits=mine, settings=settings) as place:
        for job in first:
            place.submit(job)
        faults(place)
        place.start_workers(size.workers, slots=size.slots)
        phase = _chaos(place, size, mine, seed=seed, tell=tell)
        place.vendors.control.clear_faults()
        emptied = _emptied(place, second, done=phase.over, tell=tell, within_s=size.seconds + 120)
        left = {
            f"{name}, phase {n}": keys for n, each in enumerate((phase.left, _left(place)), 1) for name, keys in each.items()
        }
        place.end_workers()
        left["processes"] = place.processes()
        left["temporary tables"] = [
            str(one[0]) for one in place.rows("SELECT relname FROM pg_class WHERE relpersistence = 't'")
        ]
        return Found(
            seed=seed,
            limits={name: asdict(one) for name, one in mine.items()},
            chaos=phase,
            emptied=emptied,
            books=audit(place, first + second),
            left=left,
            own_ends=[code for worker in place.workers for code in worker.own_ends],
            log=_said(place.logs()),
        )


def _chaos(place: Place, size: Size, mine: Mapping[str, Limits], *, seed: int, tell: Callable[[str], None]) -> Phase:
    phase, draw, todo = Phase(size.requests), random.Random(seed), list(blows(seed, size))
    begin, done = time.monotonic(), Counter[str]()
    deadline, told_at, wall = begin + size.seconds * _AT_MOST + 120, 0.0, time.time()
    while time.monotonic() < deadline:
        place.tend()
        now_s = time.monotonic() - begin
        if todo and todo[0].at_s <= now_s:
            blow = todo[0]
            if BLOWS[blow.name](place, draw):
                done[blow.name] += 1
            todo.pop(0)
            if not todo:
                phase.last_blow_s, phase.remaining = time.monotonic() - begin, _remaining(place, size)
                tell(f"{phase.last_blow_s:.0f} s: the last blow; to do: {phase.remaining}")
            continue
        if now_s - told_at > 1:
            told_at = now_s
            phase.over = _count(place, phase.over)
            if int(now_s) % 30 == 0:
                tell(f"{now_s:.0f} s: {phase.over} of {size.requests} requests are over")
            if phase.over >= size.requests:
                break
        pause(0.05)
    ((last,),) = place.rows("SELECT extract(epoch FROM max(over_at)) FROM ledger")
    phase.took_s = float(last) - wall
    phase.recovered_s = phase.took_s - phase.last_blow_s
    phase.needed_s = max(mine[name].seconds_for(count) for name, count in phase.remaining.items())
    phase.blows = dict(sorted(done.items()))
    _wait_for_quiet(place)
    phase.left, phase.calls = _left(place), _calls(place)
    with place.redis() as redis:
        phase.unacked, phase.dead = int(redis.hlen("unacked")), int(redis.xlen("mf:dead"))
    tell(f"{phase.took_s:.0f} s: {phase.over} of {size.requests} requests are over")
    return phase


def _emptied(place: Place, second: list[Job], *, done: int, within_s: float, tell: Callable[[str], None]) -> Emptied:
    """FLUSHALL in the middle of a job; whatever is over by then is never asked for again."""
    found = Emptied(sum(len(job.symbols) for job in second))
    before, begin = _calls(place).violations, time.monotonic()
    for job in second:
        place.submit(job)
    until(lambda: _count(place, 0) >= done + found.requests * 0.4, what="40 % of the second phase", within_s=within_s)
    over = set(place.rows("SELECT provider, symbol FROM ledger"))
    flushed = time.monotonic()
    with place.redis() as redis:
        redis.flushall()
    found.over_before = len(over) - done
    tell(f"Redis is emptied with {found.over_before} of {found.requests} requests over")
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and _count(place, 0) < done + found.requests:
        place.tend()
        pause(0.5)
    _wait_for_quiet(place)
    found.over = _count(place, 0) - done
    found.took_s = time.monotonic() - begin
    found.violations = _calls(place).violations - before
    # The sandbox's clock is this machine's. A call may have been on its way for as long as the delays are.
    late = flushed + 0.2
    for provider, keys in place.vendors.control.log(full=True)["providers"].items():
        for log in keys.values():
            found.again += sum(1 for at, symbol in log["arrivals"] if at > late and (provider, symbol) in over)
    return found


def _count(place: Place, otherwise: int) -> int:
    try:
        return sum(place.over().values())
    except psycopg.OperationalError:
        return otherwise


def _remaining(place: Place, size: Size) -> dict[str, int]:
    over = place.over()
    each = {name: len(range(n, size.requests, len(PROVIDERS))) for n, name in enumerate(PROVIDERS)}
    return {name: count - over.get(name, 0) for name, count in each.items()}


def _wait_for_quiet(place: Place) -> None:
    """Ledger and gate are told one after the other; a lease of a call that was cut is a lease until its end."""
    deadline = time.monotonic() + 45
    while time.monotonic() < deadline:
        place.tend()
        try:
            if not any(_left(place).values()):
                return
        except RedisError:
            pass
        pause(0.5)


def _left(place: Place) -> dict[str, list[str]]:
    """What Redis still holds of requests, but for messages that a killed worker had: they stay unacked for an hour."""
    with place.redis() as redis:
        ours = sorted(key.decode(errors="replace") for key in redis.scan_iter(match="mf:*", count=1000))
        queues = ("fetch.alpha_vantage", "fetch.polygon", "fetch.nasdaq", "store", "celery")
        waiting = [f"{name}: {length}" for name in queues if (length := redis.llen(name))]
    return {"keys of the gate": [key for key in ours if not _REMEMBERED.fullmatch(key)], "messages": waiting}


def _calls(place: Place) -> Calls:
    log = place.vendors.control.log()
    statuses, cut = Counter[str](), 0
    for keys in log["providers"].values():
        for one in keys.values():
            statuses.update(one["statuses"])
            cut += one["cut"]
    forced = sum(statuses[kind] for kind in _FORCING)
    return Calls(log["calls"], log["violations"], forced, cut, dict(sorted(statuses.items())))


def _said(text: str) -> dict[str, int]:
    """What an operator sees of it: lines by level and event, and pages of Python."""
    found = Counter[str]({"Traceback": text.count("Traceback (most recent call last)")})
    for line in text.splitlines():
        if match := re.match(r"\S+Z \[(warning|error|critical)\s*\] ([^=]*?)(?:\s{2,}|\s\S+=|\s*\[|$)", line):
            found[f"{match[1]}: {match[2][:80].strip()}"] += 1
    return dict(found.most_common())
