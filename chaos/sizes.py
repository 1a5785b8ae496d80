"""The two sizes of a run: the one for `make chaos`, and its cut in the test suite."""

from __future__ import annotations

from typing import Final

from chaos.workload import Size


def full(*, requests: int, minutes: float) -> Size:
    return Size(
        requests=requests,
        seconds=minutes * 60,
        worker_crashes=10,
        redis_crashes=2,
        redis_away_s=10,
        cuts=5,
        postgres_away_s=20,
        threaded=2,
    )


#: A run that ends within a minute or two on a quiet machine.
CUT: Final = Size(
    requests=240,
    seconds=30,
    worker_crashes=4,
    redis_crashes=1,
    redis_away_s=3,
    cuts=2,
    postgres_away_s=5,
    workers=2,
)
#: The cut is too short for leases of 25 s.
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
#: Timings as shipped; the backoff is short, so that no single request delays the end of the run.
FULL_SETTINGS: Final = {"RETRIES__BACKOFF": "1", "RETRIES__BACKOFF_MAX": "8"}
