"""The section [providers.polygon] of the settings: the base URL, the rows per page, and when a bar is final."""

from __future__ import annotations

from pydantic import Field

from marketfetch.vendors.file_service import FileService
from marketfetch.vendors.protocol import BASE_URL


class PolygonOptions(FileService):
    """https://massive.com/docs/rest/quickstart (Polygon.io until 2025-10)"""

    base_url: str = Field(default="https://api.massive.com", pattern=BASE_URL)
    # An assumption: the vendor publishes no figure. The free plan has "end of day" data, and six hours after the last trade the
    # day is over in New York. Too long costs a call when the same range is asked for again; too short leaves a hole.
    final_after_minutes: int = Field(default=360, ge=0, le=43_200)
    # Securities that are traded over the counter, in the dataset grouped: half as many rows again, and few people want them.
    grouped_otc: bool = False
    # https://massive.com/docs/flat-files/quickstart
    files_url: str = Field(default="https://files.massive.com", pattern=BASE_URL)
    # From 20:00, when trading ends after the close, to 11:30: a session's file is published about 11:00 on the next day.
    files_after_minutes: int = Field(default=930, ge=0, le=43_200)
