"""What is asked, how fast it may be asked, and what is done meanwhile: drawn from the seed before anything starts."""

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
#: One symbol in so many is none that the vendor knows: those requests end as empty, or as failed with the reason.
_UNKNOWN_EVERY: Final = 100
#: Nobody is hit any more after this share of the time that an undisturbed run takes: the rest shows how it recovers.
_QUIET_FROM: Final = 0.75

#: In percent of the good replies; `bad_rows` are good replies with five bad rows among them.
FAULTS: Final = {"500": 2.0, "503": 1.0, "reset": 1.0, "truncate": 1.0, "html": 0.5, "hang": 0.5, "bad_rows": 1.0}


@dataclass(frozen=True, slots=True)
class Size:
    """`seconds`: what the limits alone make an undisturbed run take. The others say how often, and for how long."""

    requests: int
    seconds: float
    group_kills: int
    redis_kills: int
    redis_away_s: float
    cuts: int
    postgres_away_s: float
    workers: int = 4
    slots: int = 2


@dataclass(frozen=True, slots=True)
class Job:
    """Daily bars of these symbols as traded, from `first` to `last`: one request, one call, one page for each symbol."""

    provider: str
    symbols: tuple[str, ...]
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Limits:
    """What a vendor's key may do; `per_s` is the rate that this comes to, `window_s` the longest window."""

    texts: tuple[str, ...]
    concurrency: int | None
    per_s: float
    window_s: float

    def seconds_for(self, requests: int) -> float:
        """What so many calls take at most: a window that is full, and then the rate."""
        return self.window_s + requests / self.per_s if requests else 0.0


@dataclass(frozen=True, order=True, slots=True)
class Blow:
    """Something that is done to the installation, so many seconds after the workers were started."""

    at_s: float
    name: str


def jobs(seed: int, requests: int, *, skip: int, today: date) -> list[Job]:
    """A job for each vendor, `requests` in all. `skip` leaves out the symbols of an earlier call."""
    draw = random.Random(seed)
    names = ["".join(letters) for letters in itertools.product(ascii_uppercase, repeat=3) if letters[:2] != ("Z", "Z")]
    draw.shuffle(names)
    # What is recorded would not be drawn.
    old = (one for one in names if (symbol := stock(one)) and symbol.listed.year < 2013 and one not in UNIVERSE)
    mine = list(itertools.islice(old, skip, skip + requests))
    ranges = {
        # Its newest hundred days are all that it sends to a free key.
        "alpha_vantage": (today - timedelta(days=80), today - timedelta(days=10)),
        "polygon": (date(2024, 1, 2), date(2024, 3, 28)),
        "nasdaq": (date(2014, 1, 2), date(2014, 3, 31)),
    }
    found = []
    for place, provider in enumerate(PROVIDERS):
        symbols = mine[place :: len(PROVIDERS)]
        if provider != "polygon":
            # Polygon would be asked a second time, whether the ticker exists.
            for n in range(7, len(symbols), _UNKNOWN_EVERY):
                symbols[n] = f"ZZZZ{ascii_uppercase[(skip + n) // _UNKNOWN_EVERY % 26]}"
        found.append(Job(provider, tuple(symbols), *ranges[provider]))
    return found


def limits(size: Size) -> dict[str, Limits]:
    """Limits under which each vendor's share takes about `size.seconds`, of another kind at each."""
    per_s = size.requests / len(PROVIDERS) / size.seconds
    ten, four, two = (math.ceil(per_s * window) for window in (10, 4, 2))
    return {
        "alpha_vantage": Limits((f"{four}/4seconds",), None, four / 4, 4),
        "polygon": Limits((f"{ten}/10seconds",), None, ten / 10, 10),
        "nasdaq": Limits((f"{two}/2seconds", f"{ten}/10seconds"), 6, min(two / 2, ten / 10), 10),
    }


def blows(seed: int, size: Size) -> list[Blow]:
    """When what is done, in order."""
    draw = random.Random(seed)
    end = size.seconds * _QUIET_FROM
    begin = size.seconds * 0.08
    found = [Blow(at, "a child is killed") for at in _every(2, begin, end)]
    found += [Blow(at, "a poison message is sent") for at in _every(5, begin, end)]
    # The last of them ends the chaos.
    found += [Blow(begin + 3 * n, "a worker is killed") for n in range(size.group_kills - 1)]
    found.append(Blow(end, "a worker is killed"))
    found += [Blow(draw.uniform(begin, end), "all connections of Redis are cut") for _ in range(size.cuts)]
    found += [Blow(size.seconds * (0.2 + 0.2 * n), "Redis is killed and restarted") for n in range(size.redis_kills)]
    found += [
        Blow(size.seconds * 0.3, "Postgres is stopped"),
        Blow(size.seconds * 0.3 + size.postgres_away_s, "Postgres is back"),
    ]
    found += [Blow(size.seconds * 0.55, "Redis is stopped"), Blow(size.seconds * 0.55 + size.redis_away_s, "Redis is back")]
    return sorted(found)


def _every(step_s: float, begin_s: float, end_s: float) -> list[float]:
    return [begin_s + step_s * n for n in range(int((end_s - begin_s) / step_s))]
