"""From settings to what the vendors' functions and the transport take as arguments."""

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
    """A vendor's options, of its own type, without the keys. Raises KeyError for an unknown vendor."""
    section = get_settings().provider(provider)
    kind = vendors.vendor(provider).options
    found: VendorOptions = kind.model_validate({name: getattr(section, name) for name in kind.model_fields})
    return found


@lru_cache(maxsize=64)
def keys(provider: str) -> tuple[KeyLimits, ...]:
    """A vendor's keys with what limits each, as settings say."""
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
    """What the reply's headers say of the key's use, in terms of our limits; None when they say nothing of a limit of ours."""
    said = calls_counted(reply.headers)
    key = next((one for one in keys(provider) if one.label == label), None)
    if said is None or key is None:
        return None
    limit, used = said
    for one in key.limits:
        if parse(one.text).count != limit:
            continue
        # What others may use of the key is in the vendor's count, and in the reserve already.
        ours = max(0, used - (limit - one.count))
        if isinstance(one, Window):
            return VendorCount(ours, window_us=one.window_ms * 1000, strict=one.strict)
        day = datetime.now(one.zone_info).date().isoformat()
        return VendorCount(ours, counter=one.counter(label, day))
    return None


def labels(provider: str) -> tuple[str, ...]:
    """The labels of a vendor's keys, in the order of the settings."""
    return tuple(key.label for key in get_settings().provider(provider).keys)
