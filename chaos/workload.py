"""The workload: jobs, limits and the schedule of injected faults, all drawn from the seed before the run starts."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass
from datetime import date, timedelta
from string import ascii_uppercase
from typing import Final

from marketfetch.sandbox.symbols import UNIVERSE, stock

PROVIDERS: Final = ("alpha_vantage", "polygon", "nasdaq")
#: One symbol in this many is unknown to the vendor: those requests end as empty, or as failed with the reason.
_UNKNOWN_EVERY: Final = 100
#: Faults end after this share of the duration of an undisturbed run: the rest shows how the installation recovers.
_QUIET_FROM: Final = 0.75

#: In percent of the good replies; `bad_rows` are good replies with five bad rows among them.
FAULTS: Final = {"500": 2.0, "503": 1.0, "reset": 1.0, "truncate": 1.0, "html": 0.5, "hang": 0.5, "bad_rows": 1.0}
#: The same for a vendor that misbehaves on the wire, at every stage of a reply and in every way together.
MISBEHAVES: Final = 1.0


@dataclass(frozen=True, slots=True)
class Size:
    """`seconds`: the duration of an undisturbed run under the limits alone. The next fields count faults and their lengths.

    Of the `workers`, `threaded` have a pool of `threads` each; the others have `slots` children each.
    """

    requests: int
    seconds: float
    worker_crashes: int
    redis_crashes: int
    redis_away_s: float
    cuts: int
    postgres_away_s: float
    workers: int = 4
    slots: int = 2
    threaded: int = 1
    threads: int = 6


@dataclass(frozen=True, slots=True)
class Job:
    """Daily bars of these symbols as traded, from `first` to `last`: one request, one call, one page for each symbol."""

    provider: str
    symbols: tuple[str, ...]
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Limits:
    """A vendor key's limits; `per_s` is the resulting rate, `window_s` the longest window."""

    texts: tuple[str, ...]
    concurrency: int | None
    per_s: float
    window_s: float

    def seconds_for(self, requests: int) -> float:
        """The longest time for this many calls: a full window, then the rate."""
        return self.window_s + requests / self.per_s if requests else 0.0


@dataclass(frozen=True, order=True, slots=True)
class Injection:
    """A fault that is injected `at_s` seconds after the workers were started."""

    at_s: float
    name: str


def jobs(seed: int, requests: int, *, skip: int, today: date) -> list[Job]:
    """A job for each vendor, `requests` in all. `skip` leaves out the symbols of an earlier call."""
    draw = random.Random(seed)
    names = ["".join(letters) for letters in itertools.product(ascii_uppercase, repeat=3) if letters[:2] != ("Z", "Z")]
    draw.shuffle(names)
    # Recorded symbols are left out, as the sandbox does not draw their bars.
    old = (one for one in names if (symbol := stock(one)) and symbol.listed.year < 2013 and one not in UNIVERSE)
    mine = list(itertools.islice(old, skip, skip + requests))
    ranges = {
        # A free key gets the newest hundred days only.
        "alpha_vantage": (today - timedelta(days=80), today - timedelta(days=10)),
        "polygon": (date(2024, 1, 2), date(2024, 3, 28)),
        "nasdaq": (date(2014, 1, 2), date(2014, 3, 31)),
    }
    found = []
    for position, provider in enumerate(PROVIDERS):
        symbols = mine[position :: len(PROVIDERS)]
        if provider != "polygon":
            # Polygon is left out: an unknown ticker there costs a second call.
            for n in range(7, len(symbols), _UNKNOWN_EVERY):
                symbols[n] = f"ZZZZ{ascii_uppercase[(skip + n) // _UNKNOWN_EVERY % 26]}"
        found.append(Job(provider, tuple(symbols), *ranges[provider]))
    return found


def limits(size: Size) -> dict[str, Limits]:
    """Limits under which each vendor's share takes about `size.seconds`; each vendor has another kind of limit."""
    per_s = size.requests / len(PROVIDERS) / size.seconds
    ten, four, two = (math.ceil(per_s * window) for window in (10, 4, 2))
    return {
        "alpha_vantage": Limits((f"{four}/4seconds",), None, four / 4, 4),
        "polygon": Limits((f"{ten}/10seconds",), None, ten / 10, 10),
        "nasdaq": Limits((f"{two}/2seconds", f"{ten}/10seconds"), 6, min(two / 2, ten / 10), 10),
    }


def injections(seed: int, size: Size) -> list[Injection]:
    """The schedule of faults, in order."""
    draw = random.Random(seed)
    end = size.seconds * _QUIET_FROM
    begin = size.seconds * 0.08
    found = [Injection(at, "a child is killed") for at in _every(2, begin, end)]
    found += [Injection(at, "a poison message is sent") for at in _every(5, begin, end)]
    # The last worker crash ends the phase of faults.
    found += [Injection(begin + 3 * n, "a worker is killed") for n in range(size.worker_crashes - 1)]
    found.append(Injection(end, "a worker is killed"))
    found += [Injection(draw.uniform(begin, end), "all connections of Redis are cut") for _ in range(size.cuts)]
    found += [Injection(size.seconds * (0.2 + 0.2 * n), "Redis is killed and restarted") for n in range(size.redis_crashes)]
    found += [
        Injection(size.seconds * 0.3, "Postgres is stopped"),
        Injection(size.seconds * 0.3 + size.postgres_away_s, "Postgres is back"),
    ]
    found += [
        Injection(size.seconds * 0.55, "Redis is stopped"),
        Injection(size.seconds * 0.55 + size.redis_away_s, "Redis is back"),
    ]
    return sorted(found)


def _every(step_s: float, begin_s: float, end_s: float) -> list[float]:
    return [begin_s + step_s * n for n in range(int((end_s - begin_s) / step_s))]
