"""`marketfetch check`: checks everything that a fetch needs, and reports findings in sentences with the next step."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

from marketfetch import settings_in_force, vendors
from marketfetch.addresses import database_url, state_dir
from marketfetch.local import sandbox_note
from marketfetch.ops.adjusted_diagnosis import of_adjusted
from marketfetch.ops.archive_months import SILENT, TRIAL_S, of_archive
from marketfetch.ops.file_diagnosis import of_files
from marketfetch.ops.finding import Finding, Level, Trial, as_sentence
from marketfetch.ops.holiday_diagnosis import of_holidays
from marketfetch.ops.leftover_diagnosis import of_earlier_runs
from marketfetch.ops.notify_diagnosis import of_notifications
from marketfetch.ops.project_diagnosis import PROJECT_S, of_project
from marketfetch.ops.redis_diagnosis import of_redis
from marketfetch.ops.universe_diagnosis import of_universes
from marketfetch.ops.vendor_diagnosis import of_vendor
from marketfetch.redaction import redact
from marketfetch.settings import config_path, example_of_keys, get_settings, origin
from marketfetch.storage import open_store
from marketfetch.storage.free_space import has_space, is_full
from marketfetch.storage.store import NoTables, StoreError
from marketfetch.vendors import trading_days
from marketfetch.zone_of_series import fill

#: The most seconds that Redis, the database and the state folder may take. They are tried at the same time.
_REDIS_S: Final = 10.0
_DATABASE_S: Final = 10.0
_FOLDER_S: Final = 5.0
_FILES_S: Final = 10.0
#: How long another program's lock on an SQLite file may hold up the check.
_BUSY_MS: Final = 5_000
#: How long before its end the table of sessions is worth a warning.
_AHEAD: Final = timedelta(days=90)


def findings(*, celery: bool = True) -> list[Finding]:
    """Checks settings and keys, and tries what a worker does with Redis, the database and the state folder.

    Takes ten seconds at most, also if one of them does not answer. `celery`: also try Celery's connections, for which it is
    imported. Raises SettingsError when the settings themselves can't be read. Nothing that it writes stays. No sentence holds a
    password or a key.
    """
    settings = get_settings()
    found = [*_settings(), *(one for provider in vendors.names() for one in of_vendor(provider))]
    found += of_trading_days(datetime.now(UTC).date())
    trials = (
        Trial("redis", lambda: of_redis(celery=celery), seconds=_REDIS_S, next_step="Look at its log and its machine."),
        Trial("database", _database, seconds=_DATABASE_S, next_step="Look at its server, or at its disk."),
        Trial("files", of_files, seconds=_FILES_S, next_step="Look at files_url, and at the way there."),
        Trial("folder", _state_folder, seconds=_FOLDER_S, next_step="Look at the disk of the state folder."),
        Trial("universes", of_universes, seconds=_DATABASE_S, next_step="Look at their files' disk.", late="warning"),
        Trial("archive", of_archive, seconds=TRIAL_S, next_step=SILENT, late="warning"),
        *([Trial("include", of_project, seconds=2 * PROJECT_S, next_step="Look at this machine's load.")] if celery else []),
    )
    found += [one for trial in trials for one in trial.findings()]
    return [one.model_copy(update={"sentence": redact(one.sentence, settings.secrets())}) for one in found]


def of_trading_days(today: date) -> Iterator[Finding]:
    """Warns of exchanges whose sessions are known for less than `_AHEAD` from today."""
    for code in trading_days.exchanges():
        last = trading_days.exchange(code).last
        if last < today + _AHEAD:
            ends = "ended" if last < today else "ends"
            sentence = (
                f"The table of the sessions of {code} {ends} on {last}. After that day every weekday counts as a session with "
                f"the usual close, so bars near a holiday count as partial for longer. Install a newer release."
            )
            yield Finding(level="warning", subject="calendar", sentence=sentence)


def upgrade() -> str:
    """Upgrades the database's tables to this release's schema; returns a sentence for people.

    Raises StoreError with the reason; an upgrade step that fails changes nothing.
    """
    store = open_store(database_url())
    try:
        done = as_sentence(store.upgrade())
        zones = fill(store)
        return f"{done} {zones:,} series got the zone of their days." if zones else done
    finally:
        store.close()


def _settings() -> Iterator[Finding]:
    path = config_path()
    where = f"{path} and the environment" if path else "the environment and the defaults (there is no marketfetch.toml)"
    yield Finding(level="ok", subject="settings", sentence=f"Valid. They come from {where}.")
    yield from of_earlier_runs()
    for name, why in sorted(settings_in_force.wrong().items()):
        sentence = f"{name} of the database is not used: {as_sentence(why)} Correct it with `marketfetch set`."
        yield Finding(level="error", subject="settings", sentence=sentence)
    if not any(get_settings().provider(name).keys for name in vendors.names()):
        yield Finding(
            level="error",
            subject="settings",
            sentence="No vendor has an API key, so nothing can be fetched. Set one, for example "
            f"{example_of_keys()}, or try `marketfetch up --sandbox`.",
        )


def _database() -> Iterator[Finding]:
    try:
        store = open_store(database_url(), busy_ms=_BUSY_MS)
    except StoreError as error:
        sentence = f"{as_sentence(str(error))} The URL is database_url ({origin('database_url')})."
        yield Finding(level="error", subject="database", sentence=sentence)
        return
    try:
        try:
            try:
                line, is_there = store.check(), True
            except NoTables:
                line, is_there = store.rehearse(), False
            yield Finding(level="ok", subject="database", sentence=f"{line}.")
            if is_there:
                yield from of_adjusted(store, time.time_ns() // 1_000_000)
                yield from of_holidays(store, datetime.now(UTC).date())
                yield from of_notifications(store, time.time_ns() // 1_000_000)
        finally:
            store.close()
    except StoreError as error:
        yield Finding(level="error", subject="database", sentence=as_sentence(str(error)))


def _state_folder() -> Iterator[Finding]:
    """`marketfetch up` keeps its Valkey, its logs and its locks there; a worker of its own needs none of it."""
    folder = state_dir()
    # `up` makes what is missing.
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    needed = get_settings().redis_url is None or bool(sandbox_note.find(folder))
    level: Level = "error" if needed else "warning"
    try:
        if there == folder.absolute() and there.stat().st_uid != os.getuid():
            sentence = f"{folder} belongs to another user, so `marketfetch up` can't run. Name another state_dir."
            yield Finding(level=level, subject="folder", sentence=sentence)
            return
        has_space(there)
    except OSError as error:
        if is_full(error):
            sentence = f"The disk of {folder} is full, so `marketfetch up` can keep no data and no logs. Free some space."
        else:
            why = error.strerror or error
            sentence = (
                f"`marketfetch up` can't write into {folder} ({why}). Give this user permission, or name another state_dir."
            )
        yield Finding(level=level, subject="folder", sentence=sentence)
    else:
        yield Finding(level="ok", subject="folder", sentence=f"{folder} takes what `marketfetch up` writes.")
