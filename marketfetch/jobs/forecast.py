"""`plan`: what a wish would cost, before anything is sent: calls, rows and bytes, and the time at the limits of the keys."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Any, Final

from marketfetch import connections, redis_errors, settings_in_force, vendors
from marketfetch.addresses import redis_url
from marketfetch.configured import keys, options, owners
from marketfetch.exceptions import UnavailableError
from marketfetch.jobs.key_owners import no_key
from marketfetch.jobs.market_calls import MarketCalls
from marketfetch.jobs.planning import make_handle, make_spec, plan_new
from marketfetch.jobs.redis_view import look
from marketfetch.jobs.submission import with_keys
from marketfetch.jobs.subtraction import Kept, Left, kept
from marketfetch.jobs.to_ask import to_ask
from marketfetch.jobs.without_sessions import sessions_between
from marketfetch.lengths import in_words
from marketfetch.ops import redis_writes
from marketfetch.quotas.estimates import Timetable
from marketfetch.quotas.lanes import lane, serving
from marketfetch.schemas.job_spec import NORMAL, JobSpec
from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.schemas.timespans import LONGEST_MS, is_intraday
from marketfetch.settings import get_settings
from marketfetch.storage.store import NoTables, Store, StoreError
from marketfetch.vendors.covering import symbols_of, today
from marketfetch.vendors.dataset_names import dataset_named
from marketfetch.vendors.times import unix_ms
from marketfetch.vendors.trading_days import EVERY_DAY, WEEK_OF_CURRENCIES

#: The bytes of a bar in a reply, JSON: the vendors have 90 (a row of a table) to 150 (every value a text with its name).
BYTES_PER_ROW: Final = 110
#: The minutes of a session of an exchange. Its extended hours have few bars.
_SESSION_MINUTES: Final = 390
_DAY_MINUTES: Final = 1_440
_MINUTE_MS: Final = 60_000
#: Of two calls, in the pace of recent ones.
_APART_MS: Final = 1_000
_FEWEST_APART: Final = 2
_SESSIONS_OF: Final = {"1w": 5, "1mo": 21}


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a wish would cost if it were submitted now. Nothing is recorded, parked or sent.

    `calls`: the requests that are to be made, with the further pages that their rows need; `requests` are those that the job
    would record. `partly_stored`: True if a part of the wish is stored already and is not asked for again. `rows` and `bytes`
    are estimates by the sessions of the calendar and BYTES_PER_ROW; the bytes are those of the replies before compression.
    `keys`: the labels of those that may serve it. `ahead`: parked calls of other jobs that come before its last one.
    `seconds`: until its last call may be made, at the limits of the keys, day quotas and what is used of them included, and no
    faster one after the other than recent calls were; None where no key is in service. `trouble`: what makes the time
    uncertain, one sentence each. `stored_rows`: those of `rows` that are stored already, and come along where one call takes
    the days before and after them. `market`: the calls that bring the whole market instead of symbols, since they are fewer.
    `refreshed`: the symbols of which stored days are asked for again, as their adjusted prices are stale.
    """

    provider: str
    requests: int
    calls: int
    partly_stored: bool
    rows: int
    bytes: int
    keys: tuple[str, ...]
    ahead: int
    seconds: float | None
    trouble: tuple[str, ...] = ()
    stored_rows: int = 0
    market: MarketCalls | None = None
    refreshed: tuple[str, ...] = ()


def plan(
    provider: str,
    symbols: Sequence[str],
    *,
    start: date | str | None = None,
    end: date | str | None = None,
    timespan: str = "1d",
    dataset: str = "bars",
    adjustment: str | None = None,
    again: bool = False,
    priority: int = NORMAL,
    by_symbol: bool = False,
    owner: str | None = None,
    keys_without_owner: bool = False,
) -> Forecast:
    """Returns what `submit` with these arguments would cost at this moment. It sends nothing and records nothing.

    The arguments are those of `submit`. Raises BadRequestError, which names the wrong argument, and UnavailableError.
    """
    settings_in_force.refresh()
    wish: dict[str, Any] = {"start": start, "end": end, "timespan": timespan, "dataset": dataset, "adjustment": adjustment}
    spec = make_spec(provider, symbols, again=again, priority=priority, by_symbol=by_symbol, **wish)
    if not owners(provider):
        raise UnavailableError(no_key(provider))
    whose = make_handle(get_settings().owner if owner is None else owner).owner
    spec = with_keys(spec, whose, or_without=keys_without_owner)
    planned = plan_new(spec)
    left, to_call, stored, every_s = _left(spec, planned)
    rows = [_rows(one, spec) for one in to_call]
    calls = sum(map(_calls, to_call, rows))
    timetable, lane, trouble = _redis(spec, every_s=every_s)
    ahead = sum(min(n, calls) if turn[0] == priority else n for turn, n in lane.items() if turn[0] <= priority) if calls else 0
    return Forecast(
        provider=provider,
        requests=len(left.requests),
        calls=calls,
        partly_stored=left.partly_stored,
        rows=sum(rows),
        bytes=sum(rows) * BYTES_PER_ROW,
        keys=owners(provider).get(spec.keys_of, ()),
        ahead=ahead,
        seconds=timetable.seconds(calls + ahead) if calls else 0.0,
        trouble=(*trouble, *_of_long_lists(spec, to_call)),
        stored_rows=min(sum(rows), sum(_stored_rows(one, spec, stored) for one in to_call)),
        market=left.market,
        refreshed=tuple(sorted(left.stale)),
    )


def _of_long_lists(spec: JobSpec, requests: Sequence[Request]) -> tuple[str, ...]:
    """What is not known of lists before they come: how long they are."""
    lists = [one for one in requests if one.records]
    if not lists:
        return ()
    if not any(one.symbol == WHOLE_MARKET for one in lists):
        return (f"How many rows the lists of {spec.dataset} have is not known before they come: one of each is counted.",)
    return (f"How long a list of {spec.dataset} of all symbols is, only its pages say: each further page is one more call.",)


def _left(spec: JobSpec, planned: Sequence[Request]) -> tuple[Left, list[Request], dict[str, Kept], float]:
    """What the job would record, those of its requests that no job has made, what is stored of their symbols, and the pace."""
    try:
        store: Store = connections.recorded()
        left = to_ask(spec, planned, store)
        ended = store.ended_roots([one.root for one in left.requests])
        to_call = [one for one in left.requests if one.root not in ended]
        known = {} if spec.again else kept(spec, to_call, store)
        stored = {symbol: one for symbol, one in known.items() if symbol not in left.stale}
        return left, to_call, stored, seconds_apart(store.recent_calls(spec.provider))
    except NoTables:
        left = to_ask(spec, planned, None)  # no job has been recorded yet
        return left, left.requests, {}, 0.0
    except StoreError as error:
        raise UnavailableError(f"What is stored already is not known, so there is no plan: {error}") from error


def seconds_apart(called_ms: Sequence[int]) -> float:
    """Returns what lay between two calls, on average, where no limit kept them apart; 0 where that is not known.

    `called_ms` ascend. Calls a second apart or more were not made as fast as the workers can.
    """
    apart = [after - before for before, after in pairwise(called_ms) if after - before < _APART_MS]
    return sum(apart) / len(apart) / 1000 if len(apart) >= _FEWEST_APART else 0.0


def _redis(spec: JobSpec, *, every_s: float) -> tuple[Timetable, dict[tuple[int, str], int], tuple[str, ...]]:
    """When the keys may call, how many requests are parked by (priority, job), and what is not known of both."""
    provider, limits = spec.provider, serving(keys(spec.provider), lane(spec.keys_of))
    try:
        pool = look([provider], []).pools[provider].of_lane(lane(spec.keys_of))
    except redis_errors.RedisError as error:
        away = redis_writes.told(error, f" ({redis_url().shown}): the time counts every limit as unused, and no other job")
        return Timetable(limits, every_s=every_s), {}, (away,)
    paused = [f"The key {key.label!r} rests for {in_words(key.paused_ms / 1000)} more." for key in pool.keys if key.paused_ms]
    aside = [f"The key {key.label!r} is set aside: {key.aside_why}." for key in pool.keys if key.aside_why]
    return Timetable(limits, pool.keys, every_s=every_s), pool.lane, (*paused, *aside)


def _rows(request: Request, spec: JobSpec) -> int:
    """About how many rows a request brings: one bar for each time that its market trades, and one row of a list."""
    vendor: Any = vendors.vendor(request.provider)
    dataset = dataset_named(vendor, request.dataset)
    symbols = max(len(symbols_of(request)), dataset.rows if dataset else 0)
    if request.start is None or request.end is None or request.records:
        return symbols
    finality = vendor.finality_of(request, options(request.provider))
    last = min(request.end, today(finality, unix_ms(datetime.fromisoformat(spec.as_of))))
    sessions = sessions_between(finality, request.start, last)
    if is_intraday(request.timespan):
        always = finality.calendar in (EVERY_DAY, WEEK_OF_CURRENCIES)
        minutes = _DAY_MINUTES if always else _SESSION_MINUTES
        return symbols * sessions * math.ceil(minutes * _MINUTE_MS / LONGEST_MS[request.timespan])
    return symbols * math.ceil(sessions / _SESSIONS_OF.get(request.timespan, 1))


def _calls(request: Request, rows: int) -> int:
    """How many calls a request takes with its further pages; one with the whole market has none."""
    vendor: Any = vendors.vendor(request.provider)
    dataset = dataset_named(vendor, request.dataset)
    if dataset and dataset.rows:
        return 1
    page: int = vendor.page_rows(request, options(request.provider))
    return max(1, math.ceil(rows / page))


def _stored_rows(request: Request, spec: JobSpec, stored: Mapping[str, Kept]) -> int:
    """About how many of a request's rows are stored and final."""
    if request.start is None or request.end is None:
        return 0
    found = 0
    for symbol in symbols_of(request):
        for days in stored[symbol].final if symbol in stored else ():
            first, last = (max(days.first, request.start.toordinal()), min(days.last, request.end.toordinal()))
            if first <= last:
                both = {"symbol": symbol, "start": date.fromordinal(first), "end": date.fromordinal(last)}
                found += _rows(request.model_copy(update=both), spec)
    return found
