"""`submit` plans a job, records it in the database and parks its requests in Redis."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from marketfetch import connections, redis_errors, settings_in_force
from marketfetch.configured import labels
from marketfetch.exceptions import BadRequestError, UnavailableError
from marketfetch.jobs.callbacks import callback
from marketfetch.jobs.feeding import feed
from marketfetch.jobs.key_owners import keys_of, no_key
from marketfetch.jobs.market_calls import MarketCalls
from marketfetch.jobs.planning import make_handle, make_spec, plan_new
from marketfetch.jobs.refreshing import Refreshed, refreshed
from marketfetch.jobs.subtraction import Left
from marketfetch.jobs.to_ask import to_ask
from marketfetch.jobs.universe_wishes import symbols_to_ask
from marketfetch.ops import redis_writes, traces
from marketfetch.schemas.handle import Handle
from marketfetch.schemas.job_spec import NORMAL, JobSpec
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.storage.store import Job, JobWaiter, Store, StoreError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Submitted:
    """A recorded job.

    `job_id`: 16 hex digits, derived from what is asked, the owner, the name and the tags. `requests`: the calls that it takes,
    not counting further pages; 0 if all of it is stored already, and then the job is over.
    `new`: False if the same job was submitted in the same minute; it goes on where it is. `partly_stored`: True if a part of
    the wish, or all of it, is stored already and is not asked for again. `market`: the calls that bring the whole market
    instead of symbols, where those are fewer; None without. `refreshed`: the symbols of which stored days are asked for again,
    since their vendor adjusted them before an action that is known now.
    """

    job_id: str
    requests: int
    new: bool
    partly_stored: bool = False
    market: MarketCalls | None = None
    refreshed: tuple[Refreshed, ...] = ()

    @property
    def all_stored(self) -> bool:
        """True if nothing is left to call for: all of it is stored already, and the job is over."""
        return not self.requests


def submit(
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
    name: str = "",
    tags: Sequence[str] = (),
    on_over: Mapping[str, object] | None = None,
) -> Submitted:
    """Records a job and returns; workers fetch it. The same arguments within a minute are one job; later a new one.

    The same wish of another owner, or with another name or other tags, is another job: it shares the calls, and is cancelled,
    resumed and purged alone.

    A new job calls only for days that no reply has covered, empty replies included, and for those that could still change when
    they were asked for: bars whose session had not closed, or for which the vendor's delay had not passed. Days that are stored
    and final cost no call, whichever wish they came with, and a job of which nothing is left is over at once. Days that failed
    are asked for again, and so are, with the rest of their series, days that the vendor adjusted before an action that is known
    now (jobs/refreshing.py). What is left is recorded with the job, so a restart or a resume asks for the same.

    provider    the name of an installed vendor, as `marketfetch check` lists them
    symbols     the vendor's own spelling, each once: ["AAPL", "MSFT"]; "@watchlist" stands for a universe (ops/universes.py)
    start, end  dates in the exchange's zone, both inclusive; the end may lie in the future, the start may not. As words too:
                "2024-01-31", "today", "yesterday", "-5d", "-2w", "-3mo", "-1y", relative to today in UTC. No end is today, no
                start a year before the end. A dataset that comes as a whole list (splits, dividends) needs neither
    timespan    the length of a bar: "1m", "5m", "15m", "30m", "1h", "1d", "1w", "1mo"
    dataset     "splits", "dividends", or the vendor's name for the data; "bars" lets the vendor choose
    adjustment  "raw", "split" or "split_dividend"; None: raw where the vendor has it, else what it serves
    again       True fetches everything anew, as another job, whatever is stored
    priority    0 to 9, 0 first. While a request of a lower number may run, none of a higher number is called
    by_symbol   True asks for each symbol by itself. Else daily raw bars of many symbols come by calls that bring the whole
                market, where the vendor has those and they are fewer (setting `whole_market_from`). What such a reply lacks
                of the symbols, a later wish asks for by itself
    owner       whose job it is, such as the user of an app; None: the setting `owner`, which is empty by default. Where keys of
                the vendor belong to owners (setting `key_owners`), the job is fetched with its owner's keys alone
    keys_without_owner
                True takes the keys without an owner where its owner has none; False refuses such a job
    name, tags  words to find it by: `list_jobs(tag="nightly")`, `marketfetch status --tag nightly`
    on_over     a Celery signature of a task of yours, `mine.s(...)` or the same as JSON, that names its queue. A worker sends
                it when the job is over or cancelled, with one more argument: {"job", "outcome", "counts"}. At least once

    Costs one database transaction, and a few Redis calls per thousand requests. Raises BadRequestError, which names the wrong
    argument, and UnavailableError; after either nothing is recorded, unless the sentence says so.
    """
    settings_in_force.refresh()
    wish: dict[str, Any] = {"start": start, "end": end, "timespan": timespan, "dataset": dataset, "adjustment": adjustment}
    names = symbols_to_ask(provider, symbols, **wish)
    handle = make_handle(get_settings().owner if owner is None else owner, name=name, tags=tags)
    spec = make_spec(provider, names, **wish, again=again, priority=priority, by_symbol=by_symbol)
    spec = with_keys(spec, handle.owner, or_without=keys_without_owner)
    job_id = handle.job_id(spec)
    waiter = None if on_over is None else callback(job_id, on_over)
    return record(spec, plan_new(spec), job_id=job_id, handle=handle, waiter=waiter)


def submit_for(
    task_id: str,
    provider: str,
    symbols: Sequence[str],
    *,
    owner: str | None = None,
    keys_without_owner: bool = False,
    name: str = "",
    tags: Sequence[str] = (),
    on_over: Any = None,
    **wish: Any,
) -> str:
    """As `submit`, for the message of a task, which may come more than once: always the same job. Returns its id.

    `wish`: the other arguments of `submit`; what is none is refused with its name. Raises BadRequestError, UnavailableError.
    """
    job_id = id_for(task_id)
    try:
        if database().job(job_id):
            return job_id  # it goes on by itself, also if the worker crashed before all of it was parked
    except StoreError as error:
        raise UnavailableError(f"The job was not recorded: {error}") from error
    again = wish.pop("again", False)
    if not isinstance(again, bool):
        raise BadRequestError(f"again is True or False (got {again!r:.100}).")
    spec = make_spec(provider, symbols_to_ask(provider, symbols, **wish), again=again, nonce=job_id[:12], **wish)
    handle = make_handle(get_settings().owner if owner is None else owner, name=name, tags=tags)
    spec = with_keys(spec, handle.owner, or_without=keys_without_owner)
    waiter = None if on_over is None else callback(job_id, on_over)
    return record(spec, plan_new(spec), job_id=job_id, handle=handle, waiter=waiter).job_id


def with_keys(spec: JobSpec, owner: str, *, or_without: bool = False) -> JobSpec:
    """The wish with the owner whose keys it is fetched with. Raises BadRequestError for an owner without a key."""
    whose = keys_of(spec.provider, owner, or_without=or_without)
    return spec.model_copy(update={"keys_of": whose}) if whose else spec


def id_for(task_id: str) -> str:
    """The id of the job that belongs to a task."""
    return hashlib.sha256(f"task:{task_id}".encode()).hexdigest()[:16]


def record(spec: JobSpec, requests: list[Request], *, job_id: str, handle: Handle, waiter: JobWaiter | None) -> Submitted:
    """Records a planned job, less what is stored already, with who waits for its end, and parks its requests.

    Raises UnavailableError, as `submit` does.
    """
    if not labels(spec.provider):
        raise UnavailableError(no_key(spec.provider))
    store, began_ns = database(), time.time_ns()
    with_redis(lambda: redis_writes.must_take_writes(connections.redis()), "nothing was submitted")
    job = Job(
        id=job_id,
        spec=spec.model_dump_json(),
        created_at_ms=time.time_ns() // 1_000_000,
        owner=handle.owner,
        name=handle.name,
        tags=handle.tags,
    )
    found = Left(requests, partly_stored=False)
    try:
        if store.job(job_id):
            new = store.save_job(job, (), waiter)
        else:
            found = to_ask(spec, requests, store)
            requests = found.requests
            arguments = [one.arguments for one in requests]
            new = store.save_job(job, [one.root for one in requests], waiter, arguments=arguments)
        calls = len(requests) if new else store.planned_requests(job_id)
    except StoreError as error:
        raise UnavailableError(f"The job was not recorded: {error}") from error
    unfed = f"job {job.id} is recorded but not all of it is parked; it goes on by itself when a worker runs, or send it again"
    try:
        with_redis(lambda: feed(store, job), unfed)
    except StoreError as error:
        raise UnavailableError(f"{error}: {unfed}") from error
    if new:
        traces.ended("submit", job.id, began_ns, {"provider": spec.provider, "job": job.id, "requests": calls}, root=True)
    less = found.partly_stored if new else calls != len(requests)
    again = refreshed(dict(found.stale))
    return Submitted(job_id=job.id, requests=calls, new=new, partly_stored=less, market=found.market, refreshed=again)


def database() -> Store:
    """The store of this process, with its tables. Raises UnavailableError."""
    try:
        return connections.store()
    except StoreError as error:
        raise UnavailableError(f"The database can't be used: {error}") from error


def with_redis(ask: Callable[[], T], consequence: str) -> T:
    """Returns what `ask` returns. Raises UnavailableError, which names the `consequence`, if Redis can't be used."""
    try:
        return ask()
    except redis_errors.RedisError as error:
        raise UnavailableError(redis_writes.told(error, f": {consequence}")) from error
