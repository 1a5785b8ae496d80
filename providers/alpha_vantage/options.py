"""The section [providers.alpha_vantage] of the settings: the base URL, when a bar is final, and zones outside the US."""

from __future__ import annotations

from pydantic import Field

from marketfetch.vendors.protocol import BASE_URL, VendorOptions


class AlphaVantageOptions(VendorOptions):
    """https://www.alphavantage.co/documentation/

    `zones` names the exchange's zone by symbol ({"TSCO.LON": "Europe/London"}); it overrides the zone in a response.
    """

    base_url: str = Field(default="https://www.alphavantage.co", pattern=BASE_URL)
    # An assumption: the vendor publishes no figure. Too long costs a call when the same range is asked for again; too short
    # leaves a hole.
    final_after_minutes: int = Field(default=360, ge=0, le=43_200)
    zones: dict[str, str] = Field(default_factory=dict)
