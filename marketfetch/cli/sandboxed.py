"""The settings that point at a vendor sandbox: as a note for other processes in its folder, as variables for its children."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from marketfetch.setting_sources import PREFIX
from marketfetch.vendors import names


def vendors_at(base_urls: Mapping[str, str], *, label: str) -> dict[str, Any]:
    """The settings that point the simulated vendors at a sandbox: base URL, a key called `label`, and no limits.

    Every other installed vendor has no key there: it must not be called for rows beside invented ones.
    """
    asked: dict[str, Any] = {name: {"api_keys": [], "key_limits": None} for name in names()}
    for vendor, url in base_urls.items():
        key = f"{label}:{label}-key-of-{vendor}"
        # None, as an empty table would be merged with that of the settings file, whose keys must not be used here.
        asked[vendor] = {"base_url": url, "api_keys": [key], "limits": [], "key_limits": None}
    return {"providers": asked}


def variables(base_urls: Mapping[str, str], *, label: str) -> dict[str, str]:
    """The same, as the environment of a child."""
    return as_variables(vendors_at(base_urls, label=label))


def as_variables(found: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as variables of the environment."""
    return {PREFIX + name.upper(): value if isinstance(value, str) else json.dumps(value) for name, value in _flat(found)}


def _flat(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in found.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}__{inner}", one) for inner, one in _flat(value))
        else:
            yield name, value
