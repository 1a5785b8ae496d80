"""Which settings of the database can be in force: each is tried as a process would read it at its start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketfetch.local import sandbox_note
from marketfetch.settings import SettingsError, given_at, model, of_database, put_in_force, read_with
from marketfetch.stored_settings import KEYS, Path, StoredSetting, UnknownSetting, given, in_turn, path_of, put


def use_stored(stored: Sequence[StoredSetting]) -> dict[str, str]:
    """Puts the settings of the database in force in this process.

    One that is wrong is left out, and its last good value stays. Returns why, by name. Raises SettingsError where TOML or the
    environment is wrong by now; then nothing changes.
    """
    last = {one.name: one for one in of_database()}
    wrong: dict[str, str] = {}
    good = tuple(stored)
    try:
        fresh = read_with(good)
    except (SettingsError, UnknownSetting):
        fresh, good = read_with(()), ()
        for one in in_turn(stored):
            for each in filter(None, (one, last.get(one.name))):
                try:
                    fresh, good = read_with((*good, each)), (*good, each)
                    break
                except (SettingsError, UnknownSetting) as error:
                    wrong.setdefault(one.name, str(error))
    put_in_force(good, fresh)
    return wrong


def refuse_wrong(one: StoredSetting, others: Sequence[StoredSetting]) -> None:
    """Raises SettingsError or UnknownSetting if `one` can't be in force, by itself and beside `others` of the database.

    The sentence is that of a process that starts with it.
    """
    alone: dict[str, Any] = {}
    path, rest = path_of(one.name, model()), [each for each in others if each.name != one.name]
    put(alone, path, one, read_with(()))
    # By itself, since it may wait behind TOML; settings of keys name those of the database too.
    read_with(() if KEYS in path else rest, forced=alone, given_now=one)
    read_with((*rest, one), given_now=one)


def given_elsewhere(path: Path) -> str:
    """Returns where TOML, the environment or a running sandbox gives this setting, and so wins; "" where they do not."""
    own = read_with(())
    sandbox = path[0] == "providers" and sandbox_note.find(own.state_dir)
    if not sandbox and not given(own, path):
        return ""
    at = path[: path.index(KEYS) + 1] if KEYS in path else path[:1] if path[0] == "schedule" else path
    return given_at(own, at) or "by the running `marketfetch up --sandbox`"
