"""The section [providers.polygon] of the settings: where Polygon is, and how many rows it is asked for a page."""

from __future__ import annotations

from pydantic import Field

from marketfetch.vendors.protocol import BASE_URL, VendorOptions


class PolygonOptions(VendorOptions):
    """https://massive.com/docs/rest/quickstart (Polygon.io until 2025-10)"""

    base_url: str = Field(default="https://api.massive.com", pattern=BASE_URL)
