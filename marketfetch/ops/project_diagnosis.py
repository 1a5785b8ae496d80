"""What `marketfetch check` and `marketfetch up` find about a user's own Celery project: the settings `include` and `app`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final

from marketfetch.addresses import redis_url
from marketfetch.extras import MissingExtra, need
from marketfetch.ops.finding import Finding
from marketfetch.setting_sources import PREFIX
from marketfetch.settings import SettingsError, environment, get_settings

INCLUDE: Final = f"{PREFIX}INCLUDE"
APP: Final = f"{PREFIX}APP"
#: Celery's side is named by text: the core does not import it.
_TRIAL: Final = "marketfetch.tasks.project_trial"
#: How long the user's modules may take to be imported.
PROJECT_S: Final = 20.0
_NONE: Final[Mapping[str, str]] = {}


def of_project(variables: Mapping[str, str] = _NONE) -> Iterator[Finding]:
    """Imports the modules in a process of its own, with these environment variables added. Nothing if none is named.

    As in the processes of `marketfetch up`, MARKETFETCH_REDIS_URL names the Redis that is used, also the embedded one.
    """
    if not get_settings().include and not get_settings().app and not {INCLUDE, APP} & variables.keys():
        return
    found_redis: dict[str, str] = {}
    with suppress(SettingsError):
        found_redis = {f"{PREFIX}REDIS_URL": redis_url().text}
    try:
        need("celery", "requests", for_what="A worker")
    except MissingExtra:
        sentence = "Not tried: Celery is not installed here, so this machine runs no worker."
        yield Finding(level="ok", subject="include", sentence=sentence)
        return
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter and arguments)
            [sys.executable, "-P", "-m", _TRIAL],
            env=environment(**found_redis | dict(variables)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROJECT_S,
        )
    except subprocess.TimeoutExpired:
        sentence = (
            f"The modules of include and app are not imported within {PROJECT_S:g} s. Look at what they do when imported."
        )
        yield Finding(level="error", subject="include", sentence=sentence)
        return
    try:
        found = json.loads(done.stdout)
    except ValueError:
        words = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        sentence = f"The modules of include and app end their process (exit code {done.returncode}): {words}"
        yield Finding(level="error", subject="include", sentence=sentence)
        return
    for level, subject, sentence in found:
        yield Finding(level=level, subject=subject, sentence=sentence)
