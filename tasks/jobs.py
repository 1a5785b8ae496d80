"""What a person or an app asks for: `submit` a job, look at its `status`. Usable from any app that installs us.

from tasks.jobs import submit, status
job = submit("polygon", ["AAPL", "MSFT"], start=date(2020, 1, 1), end=date(2024, 12, 31))
status(job.job_id).requests.stored
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from redis.exceptions import RedisError

import providers
from providers.errors import PlanError
from quotas import Parking
from quotas.reporting import report
from quotas.values import KeyReport
from schemas.jobs import JobSpec
from schemas.requests import Request
from storage.store import Job, Store, StoreError, Unfinished
from tasks import connections, trouble
from tasks.errors import UserError
from tasks.releaser import releasers
from tasks.vendors import PROVIDERS, keys, labels, options

T = TypeVar("T")

#: A shorter wait at a limit is how things go, a longer one is news.
_WORTH_TELLING_MS = 2_000


class Counts(BaseModel):
    """A job's requests; total is the sum of the others, always. `running`: granted, called, or waiting to be stored."""

    total: int = 0
    parked: int = 0
    running: int = 0
    stored: int = 0
    failed: int = 0
    cancelled: int = 0


class Failure(BaseModel):
    """A request that ended as failed, and the sentence that says why."""

    request: str
    symbol: str
    reason: str


class JobStatus(BaseModel):
    """A job at this moment. `eta_seconds`: at the pace so far, None while that says nothing. `trouble`: sentences to act on."""

    job: str
    provider: str
    state: Literal["running", "done", "failed"]
    requests: Counts
    rows: int
    rejects: int
    eta_seconds: int | None
    failures: list[Failure]
    reject_reasons: dict[str, int]
    trouble: list[str]


@dataclass(frozen=True, slots=True)
class Submitted:
    """`new` False: the same job had been submitted before, and goes on where it is."""

    job_id: str
    requests: int
    new: bool


@dataclass(frozen=True, slots=True)
class JobSummary:
    """A line of the list of jobs."""

    job_id: str
    provider: str
    symbols: int
    timespan: str
    start: date
    end: date
    created_at: datetime


def submit(
    provider: str,
    symbols: Sequence[str],
    *,
    start: date,
    end: date,
    timespan: str = "1d",
    dataset: str = "bars",
    adjustment: str | None = None,
    again: bool = False,
) -> Submitted:
    """Plans a job, records it, and parks its requests. Sending the same again resumes it, unless `again`.

    Raises UserError, and then nothing was recorded unless the sentence says so.
    """
    spec = _spec(
        provider, symbols, start=start, end=end, timespan=timespan, dataset=dataset, adjustment=adjustment, again=again
    )
    requests = _plan(spec)
    if not labels(spec.provider):
        raise UserError(
            f"No API key is configured for {provider}, so nothing was submitted. Set "
            f"MARKETFETCH_PROVIDERS__{provider.upper()}__API_KEYS='[\"label:secret\"]' or api_keys in marketfetch.toml."
        )
    store = _database()
    _with_redis(lambda: connections.redis().ping(), "nothing was submitted")
    job = Job(id=spec.id, spec=spec.model_dump_json(), created_at_ms=time.time_ns() // 1_000_000)
    try:
        new = store.save_job(job, [request.root for request in requests])
    except StoreError as error:
        raise UserError(f"The job was not recorded: {error}") from error
    _with_redis(
        lambda: feed(store, spec, requests),
        f"job {job.id} is recorded but not all of it is parked; send the same command again to go on",
    )
    return Submitted(job_id=job.id, requests=len(requests), new=new)


def single(provider: str, symbol: str, **wish: Any) -> Request:
    """The one request that a task sent by itself stands for, with the identity that a job would give it. Raises UserError."""
    requests = _plan(_spec(provider, (symbol,), again=False, **{"timespan": "1d", **wish}))
    if len(requests) > 1:
        raise UserError(f"This range takes {len(requests)} calls, and a task makes one: submit a job, or ask for less.")
    return requests[0]


def feed(store: Store, spec: JobSpec, requests: Sequence[Request]) -> int:
    """Parks what is to do: the plan and the pages named by the ledger, less what the ledger says is over."""
    planned = {request.root: request for request in requests}
    todo = [_page(planned[one.root], one) for one in store.unfinished(spec.id) if one.root in planned]
    order = {request.root: position for position, request in enumerate(requests)}
    todo.sort(key=lambda request: order[request.root])
    return connections.gate(spec.provider).park(
        [Parking(id=request.id, arguments=request.arguments) for request in todo], job=spec.id
    )


def status(job_id: str) -> JobStatus:
    """A job at this moment. Costs a few queries and one look at what moves in Redis, whatever is parked."""
    store = _database()
    try:
        job = store.job(job_id)
        if job is None:
            raise UserError(_unknown_job(job_id, store))
        tally, failed, todo = store.tally(job_id), store.failures(job_id), store.unfinished(job_id)
    except StoreError as error:
        raise UserError(f"The status of job {job_id} is not known: {error}") from error
    spec = JobSpec.model_validate_json(job.spec)
    moving, sentences = _with_redis(lambda: _in_redis(spec.provider, bool(todo)), "the ledger can be read, what runs can't")
    running = sum(1 for one in todo if _id(one) in moving)
    counts = Counts(
        total=tally.total,
        parked=tally.pending - running,
        running=running,
        stored=tally.stored + tally.empty,
        failed=tally.failed,
        cancelled=tally.cancelled,
    )
    return JobStatus(
        job=job_id,
        provider=spec.provider,
        state="running" if tally.pending else "failed" if tally.failed else "done",
        requests=counts,
        rows=tally.rows,
        rejects=tally.rejects,
        eta_seconds=_eta_seconds(job, done=tally.total - tally.pending, pending=tally.pending),
        failures=[Failure(request=row.request_id, symbol=row.symbol, reason=row.reason) for row in failed],
        reject_reasons=tally.reject_reasons,
        trouble=sentences,
    )


def latest(limit: int = 20) -> list[JobSummary]:
    """The latest jobs, newest first."""
    try:
        jobs = _database().latest_jobs(limit)
    except StoreError as error:
        raise UserError(f"The jobs can't be listed: {error}") from error
    return [_summary(job) for job in jobs]


def _spec(provider: str, symbols: Sequence[str], *, again: bool, **wish: Any) -> JobSpec:
    if provider not in PROVIDERS:
        close = difflib.get_close_matches(provider, PROVIDERS, n=1)
        meant = f" Did you mean {close[0]}?" if close else f" There are: {', '.join(PROVIDERS)}."
        raise UserError(f"There is no vendor {provider!r}.{meant}")
    now = datetime.now(UTC)
    as_of = now.strftime("%Y-%m-%dT%H:%M") if wish["timespan"] in ("1m", "5m", "15m", "30m", "1h") else now.date().isoformat()
    try:
        return JobSpec(
            provider=provider,
            symbols=tuple(symbols),
            as_of=as_of,
            again=uuid4().hex[:12] if again else "",
            **wish,
        )
    except ValidationError as error:
        raise UserError(f"The job can't be planned: {'; '.join(_clause(one) for one in error.errors())}.") from None


def _clause(error: ErrorDetails) -> str:
    """One thing that is wrong with a wish: which argument, what, and what was given."""
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{where} is no argument of ours"
    text = error["msg"].removeprefix("Value error, ")
    got = f" (got {error['input']!r})" if where and isinstance(error["input"], str) else ""
    return f"{where}: {text}{got}" if where else f"{text}{got}"


def _plan(spec: JobSpec) -> list[Request]:
    try:
        return providers.vendor(spec.provider).plan(spec, options(spec.provider))
    except PlanError as error:
        raise UserError(str(error)) from error


def _database() -> Store:
    try:
        return connections.store()
    except StoreError as error:
        raise UserError(f"The database can't be used: {error}") from error


def _with_redis(ask: Callable[[], T], consequence: str) -> T:
    try:
        return ask()
    except RedisError as error:
        raise UserError(
            f"Redis does not answer ({_short(error)}): {consequence}. Start it with `marketfetch up` in this folder, "
            f"or correct MARKETFETCH_REDIS_URL."
        ) from error


def _in_redis(provider: str, unfinished: bool) -> tuple[set[str], list[str]]:
    """The ids that move in this pool, and the sentences an operator should read."""
    redis, gate = connections.redis(), connections.gate(provider)
    sentences = trouble.sentences(redis)
    sentences += [_of_key(provider, one) for one in report(gate, keys(provider)) if unfinished]
    if unfinished and not releasers(redis):
        sentences.append(
            "No worker is running, so nothing is fetched. Start one: `marketfetch up`, or `celery -A tasks worker`."
        )
    return gate.moving(), [sentence for sentence in sentences if sentence]


def _of_key(provider: str, key: KeyReport) -> str:
    """Why a key makes no call now, "" if it may, or will in a moment."""
    name = f"the key {key.label!r} of {provider}"
    if key.aside_why:
        return f"T{name[1:]} is set aside: {key.aside_why}. `marketfetch quotas resume {key.label}` tries it again."
    if key.paused_ms:
        return f"Calls with {name} rest for {key.paused_ms / 1000:.0f} s more: {key.paused_why}"
    full = [use for use in key.limits if use.resets_ms > _WORTH_TELLING_MS]
    if not full:
        return ""
    last = max(full, key=lambda use: use.resets_ms)
    return f"Calls with {name} have used up {last.text}; the next one is free in {last.resets_ms / 1000:.0f} s."


def _page(request: Request, one: Unfinished) -> Request:
    """The request for the page at which the ledger stopped."""
    return request if one.page == 0 else request.model_copy(update={"page": one.page, "cursor": one.cursor})


def _id(one: Unfinished) -> str:
    return f"{one.root}/{one.page}" if one.page else one.root


def _eta_seconds(job: Job, *, done: int, pending: int) -> int | None:
    if not pending:
        return 0
    elapsed_s = time.time() - job.created_at_ms / 1000
    return round(elapsed_s / done * pending) if done else None


def _unknown_job(job_id: str, store: Store) -> str:
    known = [job.id for job in store.latest_jobs(50)]
    close = difflib.get_close_matches(job_id, known, n=1, cutoff=0.5)
    if close:
        return f"There is no job {job_id!r}. Did you mean {close[0]}?"
    return f"There is no job {job_id!r} in this database. `marketfetch status` lists the latest ones."


def _summary(job: Job) -> JobSummary:
    spec = JobSpec.model_validate_json(job.spec)
    created = datetime.fromtimestamp(job.created_at_ms / 1000, UTC)
    return JobSummary(job.id, spec.provider, len(spec.symbols), spec.timespan, spec.start, spec.end, created)


def _short(error: BaseException) -> str:
    return str(error).rstrip(".").partition("\n")[0][:200]
