"""The section [providers.alpha_vantage] of the settings: where Alpha Vantage is, and the zones of listings outside the US."""

from __future__ import annotations

from pydantic import Field

from marketfetch.vendors.protocol import BASE_URL, VendorOptions


class AlphaVantageOptions(VendorOptions):
    """https://www.alphavantage.co/documentation/

    `zones` names the exchange's zone by symbol ({"TSCO.LON": "Europe/London"}); it goes before what a reply says of itself.
    """

    base_url: str = Field(default="https://www.alphavantage.co", pattern=BASE_URL)
    zones: dict[str, str] = Field(default_factory=dict)
