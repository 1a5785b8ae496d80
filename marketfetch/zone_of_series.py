"""The zone of a series' days where the database has none: of bars that the release before has stored."""

from __future__ import annotations

from marketfetch.configured import options
from marketfetch.exceptions import MarketfetchError
from marketfetch.schemas.request import Request
from marketfetch.storage.series_zones import fill_zones
from marketfetch.storage.store import Store
from marketfetch.vendors import vendor
from marketfetch.vendors.times import zone_info


def zone_of(provider: str, symbol: str, timespan: str) -> str | None:
    """The zone that the vendor would give this series today; None for a vendor that is not installed any more."""
    try:
        asked = Request.model_validate({"provider": provider, "symbol": symbol, "timespan": timespan})
        return zone_info(vendor(provider).zone(asked, options(provider))).key
    except (KeyError, ValueError, MarketfetchError):
        return None


def fill(store: Store) -> int:
    """Gives each series without a zone the one of `zone_of`; how many. Raises StoreError."""
    return fill_zones(store, zone_of)
