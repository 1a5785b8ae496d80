"""The two sizes of a run: the one for `make chaos`, and its cut in the test suite."""

from __future__ import annotations

from typing import Final

from chaos.plan import Size


def full(*, requests: int, minutes: float) -> Size:
    return Size(
        requests=requests,
        seconds=minutes * 60,
        group_kills=10,
        redis_kills=2,
        redis_away_s=10,
        cuts=5,
        postgres_away_s=20,
    )


#: So small that it ends within a minute or two on a quiet machine.
CUT: Final = Size(
    requests=240,
    seconds=30,
    group_kills=4,
    redis_kills=1,
    redis_away_s=3,
    cuts=2,
    postgres_away_s=5,
    workers=2,
)
#: A cut has no time for leases of 25 s.
CUT_SETTINGS: Final = {
    "TIMINGS__CONNECT": "2",
    "TIMINGS__CALL": "5",
    "TIMINGS__END_BY": "8",
    "TIMINGS__START_BY": "5",
    "TIMINGS__HELD_AGAIN": "6",
    "TIMINGS__SWEEP": "5",
    "RETRIES__BACKOFF": "1",
    "RETRIES__BACKOFF_MAX": "2",
}
#: Timings as shipped; a backoff that no single request makes the end wait for.
FULL_SETTINGS: Final = {"RETRIES__BACKOFF": "1", "RETRIES__BACKOFF_MAX": "8"}
