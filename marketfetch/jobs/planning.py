"""From a wish to the requests that it takes: pure and deterministic; every mistake is reported with its argument."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.exceptions import BadRequestError, UnreadableJob, WrongValueError
from marketfetch.jobs import list_wishes
from marketfetch.jobs.list_wishes import whole_list
from marketfetch.jobs.wish_size import check_size
from marketfetch.ops.symbol_words import mistaken
from marketfetch.quotas.lanes import lane
from marketfetch.schemas import day_words
from marketfetch.schemas.handle import Handle
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import BAD_SYMBOL
from marketfetch.schemas.timespans import TIMESPANS
from marketfetch.validation_words import in_words
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.generations import as_of_text, with_generations
from marketfetch.vendors.whole_market import check_whole_market

if TYPE_CHECKING:
    from marketfetch.storage.store import Job

#: How many mistakes of a wish, or of an unreadable job, are reported: the others mostly follow from these.
_MOST_REPORTED: Final = 3
#: What a fetch task takes besides its symbol.
_OF_TASKS: Final = ("start", "end", "timespan", "dataset", "adjustment", "again")
_MOST_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """What a task asks for, and the requests that it takes: one, or those of a job for which the task stands."""

    spec: JobSpec
    requests: tuple[Request, ...]

    @property
    def only(self) -> Request | None:
        """The one request; None where there are more."""
        return self.requests[0] if len(self.requests) == 1 else None


def of_task(
    provider: str,
    unnamed: Sequence[Any],
    named: Mapping[str, Any],
    *,
    task_id: str,
    at: datetime | None = None,
    parked: bool = False,
) -> Request:
    """The one request of a task with these arguments; see `plan_of_task`. Raises BadRequestError, also where there are more."""
    plan = plan_of_task(provider, unnamed, named, task_id=task_id, at=at, parked=parked)
    if (only := plan.only) is None:
        raise BadRequestError(f"This range takes {len(plan.requests)} calls, and one was expected.")
    return only


def plan_of_task(
    provider: str,
    unnamed: Sequence[Any],
    named: Mapping[str, Any],
    *,
    task_id: str,
    at: datetime | None = None,
    parked: bool = False,
) -> TaskPlan:
    """The requests of a task with these arguments, with the identity that a job would give them. Raises BadRequestError.

    `again` is a new generation, named after the task: a message that comes twice makes the same request. `at` is when the task
    may run, if that is not now: what lies in the future may have happened by then. `parked`: `absolute` has been applied to the
    arguments, or a release without it has sent them; that release's default is the adjustment where they name none.
    """
    wish = dict(named)
    if len(unnamed) > 1 or (unnamed and "symbol" in wish):
        raise BadRequestError(
            f"A fetch task takes one symbol, and the rest by name, such as start='2024-01-02' (got {_shown(tuple(unnamed))})."
        )
    symbol = unnamed[0] if unnamed else wish.pop("symbol", None)
    if unknown := sorted(str(name) for name in wish if name not in _OF_TASKS):
        there_are = ", ".join(_OF_TASKS)
        raise BadRequestError(f"The task can't be planned: {unknown[0]} is no argument of ours (there are {there_are}).")
    if not isinstance(symbol, str):
        raise BadRequestError(f"A fetch task takes one symbol, such as 'AAPL' (got {_shown(symbol)}): submit a job for more.")
    again = wish.pop("again", False)
    if not isinstance(again, bool):
        raise BadRequestError(f"again is True or False (got {_shown(again)}).")
    nonce = hashlib.sha256(task_id.encode()).hexdigest()[:12]
    wish = {"timespan": "1d", **wish}
    spec = make_spec(provider, (symbol,), again=again, nonce=nonce, at=at, recorded=parked, **wish)
    return TaskPlan(spec, tuple(plan_new(spec)))


def absolute(provider: str, wish: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """A task's named arguments as they are parked: with absolute days, and the adjustment that `make_spec` would give.

    So a later look means the same, whatever the day or the release. Raises BadRequestError.
    """
    if list_wishes.of_whole_list(provider, wish):
        return dict(wish)  # it has neither
    found = day_words.absolute(wish, at)
    dataset, timespan = found.get("dataset", "bars"), found.get("timespan", "1d")
    if found.get("adjustment") is None and isinstance(dataset, str) and timespan in TIMESPANS:
        usual = vendors.vendor(provider).usual_adjustment(dataset, timespan)
        return {**found, "adjustment": usual} if usual else found
    return found


def _shown(value: Any) -> str:
    return repr(value)[:_MOST_SHOWN]


def make_spec(
    provider: str,
    symbols: Sequence[str],
    *,
    again: bool,
    nonce: str = "",
    at: datetime | None = None,
    recorded: bool = False,
    **wish: Any,
) -> JobSpec:
    """A job as it will be recorded. `nonce` names the generation for `again`, "" for a random one. Raises BadRequestError.

    `at` is the time of the wish, by default now; its days are counted from it (marketfetch/schemas/day_words.py). A wish that
    names no adjustment has the vendor's usual one, except one that is `recorded` already.
    """
    if provider not in vendors.names():
        raise WrongValueError(vendors.unknown(str(provider)))
    if not isinstance(symbols, Iterable) or isinstance(symbols, str) or not all(isinstance(one, str) for one in symbols):
        raise BadRequestError(f"The symbols are a list of words, such as ['AAPL', 'MSFT'] (got {symbols!r}).")
    at = at or wished_at()
    try:
        spec = JobSpec(
            provider=provider,
            symbols=tuple(symbols),
            as_of=as_of_text(at),
            again=(nonce or uuid4().hex[:12]) if again else "",
            **(list_wishes.of_whole_list(provider, wish) or day_words.absolute(wish, at)),
        )
    except ValidationError as error:
        raise WrongValueError(f"The job can't be planned: {_clauses(error)}.") from None
    if recorded or spec.is_whole or spec.adjustment is not None:
        return spec
    usual = vendors.vendor(provider).usual_adjustment(spec.dataset, spec.timespan)
    return spec.model_copy(update={"adjustment": usual}) if usual else spec


def make_handle(owner: str | None, *, name: str = "", tags: Iterable[str] = ()) -> Handle:
    """Whose wish a job is to be. Raises BadRequestError."""
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise BadRequestError(f"The tags are a list of words, such as ['nightly'] (got {tags!r}).")
    try:
        return Handle.model_validate({"owner": owner or "", "name": name or "", "tags": tags})
    except ValidationError as error:
        raise BadRequestError(f"Owner, name and tags are words on one line: {_clauses(error)}.") from None


def wished_at() -> datetime:
    """Now. Tests replace it: a wish of a later minute is another job."""
    return datetime.now(UTC)


def spec_of(job: Job) -> JobSpec:
    """The wish that was recorded as a job. Raises UnreadableJob."""
    try:
        spec = JobSpec.model_validate_json(job.spec)
    except ValidationError as error:
        raise _unreadable(job, "; ".join(_clause(one) for one in error.errors()[:_MOST_REPORTED])) from None
    if spec.provider not in vendors.names():
        raise _unreadable(job, f"provider: no vendor {spec.provider!r} is installed here")
    return spec


def _unreadable(job: Job, why: str) -> UnreadableJob:
    return UnreadableJob(
        f"Job {job.id} can't be read ({why}): another release has recorded it, or its row in the table `jobs` is damaged. "
        f"Run that release's workers, or end it with `marketfetch cancel {job.id}` and submit it anew."
    )


def _clauses(error: ValidationError) -> str:
    """What is wrong with a wish: the first mistakes, and how many more there are."""
    clauses = [_clause(one) for one in error.errors()]
    more = len(clauses) - _MOST_REPORTED
    return "; ".join(clauses[:_MOST_REPORTED]) + (f"; and {more:,} more" if more > 0 else "")


def _clause(error: ErrorDetails) -> str:
    """One thing that is wrong with a wish: which argument, what, and what was given. A bad symbol's message says all of it."""
    if error["type"] == BAD_SYMBOL:
        return error["msg"]
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{where} is no argument of ours"
    text, given = in_words(error), error["input"]
    got = f" (got {given!r:.{_MOST_SHOWN}})" if where and isinstance(given, str | int | float | None) else ""
    return f"{where}: {text}{got}" if where else f"{text}{got}"


def plan_new(spec: JobSpec) -> list[Request]:
    """The requests of a wish that a person has just written: refused where they are sure to bring nothing as it is written.

    A recorded job is planned without that check, so that every release can end the jobs of the others. Raises BadRequestError.
    """
    if wrong := next(filter(None, map(mistaken, spec.symbols)), ""):
        raise WrongValueError(wrong)
    vendor = vendors.vendor(spec.provider)
    try:
        check_whole_market(vendor, spec)
        check_size(spec, vendor, options(spec.provider))
    except PlanError as error:
        raise _refused(error) from error
    requests = plan(spec)
    try:
        vendor.check_wish(spec, options(spec.provider))
    except PlanError as error:
        raise _refused(error) from error
    return requests


def _refused(error: PlanError) -> BadRequestError:
    """A vendor's plan is refused by the wish and the vendor's rules alone: it was written wrongly."""
    return WrongValueError(str(error))


def plan(spec: JobSpec) -> list[Request]:
    """The requests of a job, in order. Raises BadRequestError, also for a range that lies in the future."""
    vendor, ours = vendors.vendor(spec.provider), options(spec.provider)
    try:
        requests = with_generations(spec, vendor.plan(spec, ours), vendor, ours)
    except PlanError as error:
        raise _refused(error) from error
    more: dict[str, Any] = {"records": True} if whole_list(spec.provider, spec.dataset) else {}
    if spec.keys_of:
        more["lane"] = lane(spec.keys_of)
    return [one.model_copy(update=more) for one in requests] if more else requests
