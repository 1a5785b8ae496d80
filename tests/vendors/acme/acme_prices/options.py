"""The section [providers.acme] of the settings, without the keys: those are marketfetch's own."""

from __future__ import annotations

from pydantic import Field

from marketfetch.vendors.protocol import BASE_URL, VendorOptions


class AcmeOptions(VendorOptions):
    """https://acme.example/docs/start. `years_per_request`: the longest range that one call asks for.

    Acme publishes a session's bar within 90 minutes of the close, and does not change it afterwards.
    """

    base_url: str = Field(default="https://api.acme.example/v1", pattern=BASE_URL)
    final_after_minutes: int = Field(default=90, ge=0, le=43_200)
    years_per_request: int = Field(default=1, ge=1, le=10)
