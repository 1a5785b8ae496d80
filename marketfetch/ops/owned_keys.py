"""An API key that belongs to an owner from its first moment: the owner is recorded before the key."""

from __future__ import annotations

from marketfetch.exceptions import WrongValueError
from marketfetch.ops import changing_settings
from marketfetch.ops.changing_settings import Change

_KEYS = ".api_keys."
_OWNERS = ".key_owners."


def put_key(name: str, secret: str, *, owner: str, who: str, based_on: int | None = None) -> Change:
    """Sets the API key `name` (providers.VENDOR.api_keys.LABEL), which serves the jobs of `owner` alone. Raises as `put`."""
    if _KEYS not in name:
        raise WrongValueError(f"{name} is no API key, and only a key has an owner: name providers.VENDOR.api_keys.LABEL.")
    changing_settings.put(name.replace(_KEYS, _OWNERS, 1), [owner], who=who)
    return changing_settings.put(name, secret, who=who, based_on=based_on)
