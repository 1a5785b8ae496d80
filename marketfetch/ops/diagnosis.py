"""`marketfetch check`: checks everything that a fetch needs, and reports findings in sentences with the next step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final
from urllib.parse import SplitResult, urlsplit

from marketfetch import vendors
from marketfetch.addresses import database_url, state_dir
from marketfetch.configured import keys, options
from marketfetch.local import sandbox_note
from marketfetch.ops.finding import Finding, Level, Trial, as_sentence
from marketfetch.ops.redis_diagnosis import of_redis
from marketfetch.redaction import redact
from marketfetch.settings import config_path, example_of_keys, get_settings
from marketfetch.storage import open_store
from marketfetch.storage.free_space import has_space, is_full
from marketfetch.storage.store import StoreError
from marketfetch.vendors import trading_days

#: The most seconds that Redis, the database and the state folder may take. They are tried at the same time.
_REDIS_S: Final = 10.0
_DATABASE_S: Final = 10.0
_FOLDER_S: Final = 5.0
#: How long another program's lock on an SQLite file may hold up the check.
_BUSY_MS: Final = 5_000
#: How long before its end the table of sessions is worth a warning.
_AHEAD: Final = timedelta(days=90)


def findings(*, celery: bool = True) -> list[Finding]:
    """Checks settings and keys, and tries what a worker does with Redis, the database and the state folder.

    Takes ten seconds at most, also if one of them does not answer. `celery`: also try Celery's connections, for which it is
    imported. Raises SettingsError when the settings themselves can't be read. Nothing that it writes stays, except that it
    creates a missing database, as the first worker would. No sentence holds a password or a key.
    """
    settings = get_settings()
    found = [*_settings(), *(one for provider in vendors.names() for one in _provider(provider))]
    found += of_trading_days(datetime.now(UTC).date())
    trials = (
        Trial("redis", lambda: of_redis(celery=celery), seconds=_REDIS_S, next_step="Look at its log and its machine."),
        Trial("database", _database, seconds=_DATABASE_S, next_step="Look at its server, or at its disk."),
        Trial("folder", _state_folder, seconds=_FOLDER_S, next_step="Look at the disk of the state folder."),
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
        return as_sentence(store.upgrade())
    finally:
        store.close()


def _settings() -> Iterator[Finding]:
    path = config_path()
    where = f"{path} and the environment" if path else "the environment and the defaults (there is no marketfetch.toml)"
    yield Finding(level="ok", subject="settings", sentence=f"Valid. They come from {where}.")
    if sandbox_note.find(get_settings().state_dir):
        sentence = "`marketfetch up --sandbox` runs here: vendors, Redis and database are its own, not the configured ones."
        yield Finding(level="ok", subject="sandbox", sentence=sentence)
    if not any(get_settings().provider(name).keys for name in vendors.names()):
        yield Finding(
            level="error",
            subject="settings",
            sentence="No vendor has an API key, so nothing can be fetched. Set one, for example "
            f"{example_of_keys()}, or try `marketfetch up --sandbox`.",
        )


def _provider(name: str) -> Iterator[Finding]:
    section = get_settings().provider(name)
    labels = ", ".join(key.label for key in section.keys)
    if not labels:
        yield Finding(
            level="warning",
            subject=name,
            sentence=f"No API key, so jobs for it are refused. Set providers.{name}.api_keys if you want it.",
        )
        return
    host = urlsplit(section.base_url)
    if not _can_be_called(host):
        sentence = f"providers.{name}.base_url is no URL that can be called ({section.base_url}). Correct it."
        yield Finding(level="error", subject=name, sentence=sentence)
        return
    yield Finding(level="ok", subject=name, sentence=f"Keys: {labels}. Asked at {host.scheme}://{host.netloc}.")
    for sentence in vendors.vendor(name).describe(options(name)):
        yield Finding(level="ok", subject=name, sentence=sentence)
    if host.scheme == "http" and host.hostname not in ("127.0.0.1", "::1", "localhost"):
        yield Finding(
            level="warning",
            subject=name,
            sentence=f"providers.{name}.base_url begins with http://, so keys travel in clear. Write https://.",
        )
    allowed = keys(name)[0]
    texts = [*(one.text for one in allowed.windows), *(one.text for one in allowed.calendars)]
    if texts:
        origin = "your limits" if section.limits is not None else f"the plan {section.plan!r}"
        most = f", {allowed.concurrency} at once" if allowed.concurrency else ""
        yield Finding(level="ok", subject=name, sentence=f"By {origin}, each key makes {' and '.join(texts)}{most}.")
    else:
        yield Finding(
            level="warning",
            subject=name,
            sentence="No limits are set, so only the vendor's refusals slow us down. "
            f'Set what your plan allows, for example providers.{name}.limits = ["5/minute"].',
        )


def _can_be_called(url: SplitResult) -> bool:
    try:
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number
        return False


def _database() -> Iterator[Finding]:
    try:
        store = open_store(database_url(), busy_ms=_BUSY_MS)
        try:
            store.create()
            yield Finding(level="ok", subject="database", sentence=f"{store.check()}.")
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
