"""From settings to what the vendors' verbs and the transport take as arguments."""

from __future__ import annotations

from functools import lru_cache

from providers.vendor import VendorOptions
from quotas import KeyLimits, key_limits
from quotas.plans import PLANS
from settings import NasdaqSettings, get_settings

PROVIDERS = ("alpha_vantage", "polygon", "nasdaq")


@lru_cache(maxsize=8)
def options(provider: str) -> VendorOptions:
    """A vendor's options. KeyError for an unknown vendor."""
    section = get_settings().provider(provider)
    more = section if isinstance(section, NasdaqSettings) else NasdaqSettings()
    return VendorOptions(
        base_url=section.base_url,
        page_limit=section.page_limit,
        symbols_per_request=more.symbols_per_request,
        tables=more.tables,
    )


@lru_cache(maxsize=8)
def keys(provider: str) -> tuple[KeyLimits, ...]:
    """A vendor's keys with what limits each, as settings say."""
    section = get_settings().provider(provider)
    plan = PLANS[provider][section.plan]
    limits = plan.limits if section.limits is None else section.limits
    # Who writes limits describes another plan, so the concurrency of ours is none of theirs.
    concurrency = section.concurrency or (plan.concurrency if section.limits is None else None)
    return tuple(
        key_limits(key.label, section.key_limits.get(key.label, limits), concurrency=concurrency) for key in section.keys
    )


def labels(provider: str) -> tuple[str, ...]:
    """The labels of a vendor's keys, in the order of the settings."""
    return tuple(key.label for key in get_settings().provider(provider).keys)
