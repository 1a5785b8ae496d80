"""Jobs that ask for sessions that are missing or have gaps, and for nothing else: `marketfetch gaps --repair`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final, cast

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.jobs.asked_again import is_refusal
from marketfetch.jobs.fewest_calls import fewest
from marketfetch.jobs.planning import make_handle, make_spec, plan
from marketfetch.jobs.shared_calls import Piece, together
from marketfetch.jobs.submission import Submitted, record, with_keys
from marketfetch.ops.missing_minutes import Stretch
from marketfetch.ops.missing_sessions import Gap
from marketfetch.schemas.coverage import Days, united
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Timespan
from marketfetch.vendors.times import period_end

TAG: Final = "repair"

#: A vendor, a dataset, a timespan, an adjustment, and whether final days are asked for again.
_Wish = tuple[str, str, str, str, bool]


@dataclass(frozen=True, slots=True)
class RepairJob:
    """A submitted job, and how many sessions of how many symbols it asks for."""

    job: Submitted
    provider: str
    symbols: int
    sessions: int


def can_mend(gap: Gap | Stretch) -> bool:
    """True if a call may bring the sessions: not where the vendor has none, nor where it refuses every such call."""
    return gap.why != "vendor has none" and not is_refused(gap)


def is_refused(gap: Gap | Stretch) -> bool:
    """True if the vendor has refused the request for the sessions, and would refuse the same call again."""
    return gap.why == "failed" and is_refusal(gap.reason)


def repair(gaps: Iterable[Gap | Stretch], *, owner: str, keys_without_owner: bool = False) -> list[RepairJob]:
    """Submits the jobs for these gaps, in the fewest calls, each with the tag `repair`.

    What was never asked or has failed shares the requests of other jobs; days that a final reply has covered are asked for
    again. Of a stretch its whole session is asked for: no request is shorter than a day. `keys_without_owner`: as in `submit`.
    Raises BadRequestError, UnavailableError.
    """
    wishes: dict[_Wish, list[Gap | Stretch]] = defaultdict(list)
    for one in gaps:
        covered = one.why in ("rejected", "vendor has none")
        wishes[one.provider, one.dataset, one.timespan, one.adjustment, covered].append(one)
    return [_submitted(wish, of_wish, owner, keys_without_owner) for wish, of_wish in sorted(wishes.items())]


def _submitted(wish: _Wish, gaps: Sequence[Gap | Stretch], owner: str, or_without: bool) -> RepairJob:
    provider, dataset, timespan, adjustment, again = wish
    missing: dict[str, list[Days]] = defaultdict(list)
    for one in gaps:
        last = period_end(one.last, cast("Timespan", timespan))
        missing[one.symbol].append(Days(one.first.toordinal(), last.toordinal()))
    spec = make_spec(
        provider,
        tuple(sorted(missing)),
        again=again,
        by_symbol=again,  # what the whole market lacked, it would lack again
        dataset=dataset,
        timespan=timespan,
        adjustment=adjustment or None,
        start=date.fromordinal(min(days.first for of_symbol in missing.values() for days in of_symbol)),
        end=date.fromordinal(max(days.last for of_symbol in missing.values() for days in of_symbol)),
    )
    handle = make_handle(owner, tags=[TAG])
    spec = with_keys(spec, handle.owner, or_without=or_without)
    job = record(spec, requests_for(spec, missing), job_id=handle.job_id(spec), handle=handle, waiter=None)
    within = {(one.symbol, one.day) for one in gaps if isinstance(one, Stretch)}
    return RepairJob(job, provider, len(missing), len(within) + sum(one.sessions for one in gaps if isinstance(one, Gap)))


def requests_for(spec: JobSpec, missing: Mapping[str, Sequence[Days]]) -> list[Request]:
    """Returns the requests for the missing days of each symbol.

    Symbols that lack the same days are planned together, and others where one call of several symbols takes them.
    """
    alike: dict[Days, list[str]] = defaultdict(list)
    cost = _cost(spec)
    for symbol, days in missing.items():
        for one in fewest(united(days), cost):
            alike[one].append(symbol)
    pieces = [Piece(days, tuple(symbols)) for days, symbols in alike.items()]
    shared = together(pieces, partial(_plan, spec), vendors.vendor(spec.provider), options(spec.provider))
    return [request for days, symbols in shared for request in _plan(spec, sorted(symbols), days)]


def _cost(spec: JobSpec) -> Callable[[Days], int]:
    known: dict[Days, int] = {}

    def calls(days: Days) -> int:
        if days not in known:
            known[days] = len(_plan(spec, spec.symbols[:1], days))
        return known[days]

    return calls


def _plan(spec: JobSpec, symbols: Sequence[str], days: Days) -> list[Request]:
    wish = {"symbols": tuple(symbols), "start": date.fromordinal(days.first), "end": date.fromordinal(days.last)}
    return plan(spec.model_copy(update=wish))
