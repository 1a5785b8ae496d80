"""Converts settings into the arguments of the vendors' functions and of the transport."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Final

from marketfetch import vendors
from marketfetch.quotas import KeyLimits, key_limits
from marketfetch.quotas.lanes import lane
from marketfetch.quotas.limits import Window, parse
from marketfetch.quotas.values import VendorCount
from marketfetch.settings import get_settings
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import VendorOptions
from marketfetch.vendors.reply_parsing import calls_counted

_PRINT_DIGITS: Final = 16


@lru_cache(maxsize=64)
def options(provider: str) -> VendorOptions:
    """Returns a vendor's options, of its own type, without the keys. Raises KeyError for an unknown vendor."""
    section = get_settings().provider(provider)
    kind = vendors.vendor(provider).options
    found: VendorOptions = kind.model_validate({name: getattr(section, name) for name in kind.model_fields})
    return found


@lru_cache(maxsize=64)
def keys(provider: str) -> tuple[KeyLimits, ...]:
    """Returns a vendor's keys with the limits of each, and the lanes that it serves.

    Labels with one secret are one key under the first of them: it has the limits of each, and serves the owners of all.
    """
    section = get_settings().provider(provider)
    plan = vendors.vendor(provider).plans[section.plan]
    limits = plan.limits if section.limits is None else section.limits
    # Limits in settings describe another plan, so the published plan's concurrency does not apply to them.
    concurrency = section.concurrency or (plan.concurrency if section.limits is None else None)
    labels_of: dict[str, list[str]] = {}
    for key in section.keys:
        labels_of.setdefault(key.secret.get_secret_value(), []).append(key.label)
    found = []
    for secret, same in labels_of.items():
        texts = dict.fromkeys(text for label in same for text in section.key_limits.get(label, limits))
        one = key_limits(same[0], tuple(texts), concurrency=concurrency, reserve=section.reserve)
        served = sorted({lane(owner) for label in same for owner in (section.key_owners.get(label) or [""])})
        found.append(replace(one, lanes=tuple(served), secret_print=_print(provider, secret)))
    return tuple(found)


def owners(provider: str) -> dict[str, tuple[str, ...]]:
    """Returns the labels of the keys of each owner; "" for those without one."""
    section = get_settings().provider(provider)
    found: dict[str, list[str]] = {}
    for key in section.keys:
        for owner in section.key_owners.get(key.label) or [""]:
            found.setdefault(owner, []).append(key.label)
    return {owner: tuple(some) for owner, some in found.items()}


def owners_of(provider: str, label: str) -> tuple[str, ...]:
    """Returns whose jobs alone a key serves, empty for those without an owner: of every label with the same secret."""
    section = get_settings().provider(provider)
    secret = next((key.secret for key in section.keys if key.label == label), None)
    same = [key.label for key in section.keys if key.secret == secret]
    return tuple(dict.fromkeys(owner for one in same for owner in section.key_owners.get(one, ())))


def _print(provider: str, secret: str) -> str:
    """Tells in Redis whether two labels stand for one secret, without a way back to it."""
    return hashlib.sha256(f"{provider}\n{secret}".encode()).hexdigest()[:_PRINT_DIGITS]


def counted(provider: str, label: str, reply: HttpReply) -> VendorCount | None:
    """Returns the vendor's count of a key's calls, from the response's headers; None if they match no limit of the key."""
    said = calls_counted(reply.headers)
    key = next((one for one in keys(provider) if one.label == label), None)
    if said is None or key is None:
        return None
    limit, used = said
    for one in key.limits:
        if parse(one.text).count != limit:
            continue
        # The vendor counts other users' calls too; the reserve already allows for those.
        ours = max(0, used - (limit - one.count))
        if isinstance(one, Window):
            return VendorCount(ours, window_us=one.window_ms * 1000, strict=one.strict)
        day = datetime.now(one.zone_info).date().isoformat()
        return VendorCount(ours, counter=one.counter(label, day))
    return None


def labels(provider: str) -> tuple[str, ...]:
    """Returns the labels of a vendor's keys, in the order of the settings."""
    return tuple(key.label for key in get_settings().provider(provider).keys)
