"""Converts settings into the arguments of the vendors' functions and of the transport."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from marketfetch import vendors
from marketfetch.quotas import KeyLimits, key_limits
from marketfetch.quotas.limits import Window, parse
from marketfetch.quotas.values import VendorCount
from marketfetch.settings import get_settings
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.protocol import VendorOptions
from marketfetch.vendors.reply_parsing import calls_counted


@lru_cache(maxsize=64)
def options(provider: str) -> VendorOptions:
    """Returns a vendor's options, of its own type, without the keys. Raises KeyError for an unknown vendor."""
    section = get_settings().provider(provider)
    kind = vendors.vendor(provider).options
    found: VendorOptions = kind.model_validate({name: getattr(section, name) for name in kind.model_fields})
    return found


@lru_cache(maxsize=64)
def keys(provider: str) -> tuple[KeyLimits, ...]:
    """Returns a vendor's keys with the limits of each."""
    section = get_settings().provider(provider)
    plan = vendors.vendor(provider).plans[section.plan]
    limits = plan.limits if section.limits is None else section.limits
    # Limits in settings describe another plan, so the published plan's concurrency does not apply to them.
    concurrency = section.concurrency or (plan.concurrency if section.limits is None else None)
    return tuple(
        key_limits(key.label, section.key_limits.get(key.label, limits), concurrency=concurrency, reserve=section.reserve)
        for key in section.keys
    )


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
