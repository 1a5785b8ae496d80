"""The section [providers.alpha_vantage] of the settings: the base URL, and the zones of listings outside the US."""

from __future__ import annotations

from pydantic import Field

from marketfetch.vendors.protocol import BASE_URL, VendorOptions


class AlphaVantageOptions(VendorOptions):
    """https://www.alphavantage.co/documentation/

    `zones` names the exchange's zone by symbol ({"TSCO.LON": "Europe/London"}); it overrides the zone in a response.
    """

    base_url: str = Field(default="https://www.alphavantage.co", pattern=BASE_URL)
    zones: dict[str, str] = Field(default_factory=dict)
