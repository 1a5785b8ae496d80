"""The section [providers.polygon] of the settings: the base URL, and the rows per page."""

from __future__ import annotations

from pydantic import Field

from marketfetch.vendors.protocol import BASE_URL, VendorOptions


class PolygonOptions(VendorOptions):
    """https://massive.com/docs/rest/quickstart (Polygon.io until 2025-10)"""

    base_url: str = Field(default="https://api.massive.com", pattern=BASE_URL)
