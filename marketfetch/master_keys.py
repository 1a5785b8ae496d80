"""The master keys of this process, which seal the secrets in the database: from settings, a file, or the system's keyring."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Final

from marketfetch.exceptions import UnavailableError
from marketfetch.sealing import MasterKey, WrongMasterKey, master_keys_in
from marketfetch.settings import get_settings

#: Under what the keyring has it.
KEYRING_SERVICE: Final = "marketfetch"
KEYRING_NAME: Final = "master-key"
_HOW: Final = (
    "Make one with `marketfetch set --new-master-key` and give it to every worker: MARKETFETCH_MASTER_KEY, or a file that "
    "MARKETFETCH_MASTER_KEY_FILE names, or the system's keyring (extra [keyring])."
)


class NoMasterKey(UnavailableError):
    """There is no master key, or what is given is none."""


def master_keys() -> tuple[MasterKey, ...]:
    """The master keys, the one that seals first; () where none is given. A file is read each time. Raises NoMasterKey."""
    settings = get_settings()
    try:
        if settings.master_key is not None:
            return master_keys_in(settings.master_key.get_secret_value())
        if settings.master_key_file:
            return master_keys_in(Path(settings.master_key_file).read_text(encoding="utf-8"))
        return master_keys_in(_of_keyring())
    except WrongMasterKey as error:
        raise NoMasterKey(f"The master key can't be used: {error}.") from None
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "") or "it is no text"
        raise NoMasterKey(f"The file of the master key, {settings.master_key_file}, can't be read: {why}.") from None


def sealing_key() -> MasterKey:
    """The master key that seals. Raises NoMasterKey."""
    if not (found := master_keys()):
        raise NoMasterKey(f"An API key is kept in the database sealed with a master key, and there is none. {_HOW}")
    return found[0]


def _of_keyring() -> str:
    """What the system's keyring has; "" without one. A keyring that can't be asked counts as empty: most servers have none."""
    if importlib.util.find_spec("keyring") is None:
        return ""
    try:
        return importlib.import_module("keyring").get_password(KEYRING_SERVICE, KEYRING_NAME) or ""
    except Exception:  # each backend raises errors of its own
        return ""
