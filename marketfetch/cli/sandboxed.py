"""The settings that point at a vendor sandbox: as a note for other processes in its folder, as variables for its children."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from marketfetch.setting_sources import PREFIX
from marketfetch.vendors import names, vendor
from marketfetch.vendors.file_service import FileService


def vendors_at(base_urls: Mapping[str, str], *, label: str) -> dict[str, Any]:
    """The settings that point the simulated vendors at a sandbox: every URL, a key called `label`, and no limits.

    Every other installed vendor has no key there: it must not be called for rows beside invented ones. No vendor has
    credentials for files, whose service is the real one.
    """
    asked: dict[str, Any] = {name: {"api_keys": [], **_no_tables(name)} for name in names()}
    for name, url in base_urls.items():
        urls = {option: url for option in vendor(name).options.model_fields if option.endswith("_url")}
        asked[name] |= {**urls, "api_keys": [f"{label}:{label}-key-of-{name}"], "limits": []}
    return {"providers": asked}


def _no_tables(name: str) -> dict[str, None]:
    """The tables of a vendor that a sandbox empties: by None, as an empty one would be merged with a configured one."""
    files = {"file_keys": None} if issubclass(vendor(name).options, FileService) else {}
    return {"key_limits": None, "key_owners": None, **files}


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
