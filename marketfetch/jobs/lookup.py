"""Finds the job that a user means: by its id, by the beginning of it that no other job has, as in git, or by its name."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from marketfetch import connections
from marketfetch.addresses import database_choice
from marketfetch.exceptions import BadRequestError, UnavailableError, UnknownJob
from marketfetch.storage.store import Job, NoTables, Store, StoreError
from marketfetch.suggestions import did_you_mean

#: A beginning of an id, in either case; shorter ones would soon mean several jobs.
_BEGINNING: Final = re.compile(r"[0-9a-f]{4,16}", re.IGNORECASE)
_TOO_SHORT: Final = re.compile(r"[0-9a-f]{1,3}", re.IGNORECASE)
_MOST_SHOWN: Final = 5


def recorded() -> Store:
    """The database as it stands: looking for jobs makes no file and no table. Raises UnavailableError."""
    try:
        return connections.recorded()
    except StoreError as error:
        raise UnavailableError(f"The database can't be used: {error}") from error


def known_job(store: Store, job_id: str, *, asker: str = "") -> Job:
    """Returns the job whose id is `job_id`, or the only one whose id begins with it (4 digits or more), or of that name.

    A name is looked up among the jobs of `asker` first: what others call theirs does not change which of its own is meant.

    Raises UnknownJob, BadRequestError (several jobs, which the sentence names) and UnavailableError.
    """
    if not isinstance(job_id, str):
        raise UnknownJob(f"A job's id is a text, such as submit(...).job_id (got {job_id!r}).")
    try:
        if job := store.job(job_id):
            return job
        begins, found = False, store.jobs_named(job_id, _MOST_SHOWN + 1, owner=asker) if asker else []
        if not found and _BEGINNING.fullmatch(job_id):
            found = store.jobs_beginning_with(job_id.lower(), _MOST_SHOWN + 1)
            begins = bool(found)
        found = found or store.jobs_named(job_id, _MOST_SHOWN + 1)
        if not found:
            raise UnknownJob(_unknown_job(job_id, store))
    except NoTables as error:
        raise UnknownJob(f"There is no job {job_id!r}: {error}. {database_choice()}") from None
    except StoreError as error:
        raise UnavailableError(f"Job {job_id} can't be looked up: {error}") from error
    if len(found) > 1:
        raise BadRequestError(_several(job_id, found, begins=begins))
    return found[0]


def _unknown_job(job_id: str, store: Store) -> str:
    if meant := did_you_mean(job_id, [job.id for job in store.latest_jobs(50)], cutoff=0.5):
        return f"There is no job {job_id!r}. {meant}"
    if _TOO_SHORT.fullmatch(job_id):
        return f"{job_id!r} may begin the ids of many jobs: write at least 4 digits of the id."
    listed = "`marketfetch status` lists the latest ones."
    return f"There is no job {job_id!r} in {store.database.where}. {listed} {database_choice()}"


def _several(text: str, found: list[Job], *, begins: bool) -> str:
    shown = ", ".join(_told_apart(job) for job in found[:_MOST_SHOWN])
    more = ", and more" if len(found) > _MOST_SHOWN else ""
    if begins:
        return f"Several jobs begin with {text!r}: {shown}{more}. Write more of the id."
    return f"Several jobs have the name {text!r}: {shown}{more}. Write the id of one."


def _told_apart(job: Job) -> str:
    """The id with what tells the user which job it is."""
    submitted = f"{datetime.fromtimestamp(job.created_at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    return f"{job.id} ({', '.join([submitted, *filter(None, (job.owner, job.name))])})"
