"""Plans the files of a wish, and builds the call for one: an object of the vendor's S3 service.

https://massive.com/docs/flat-files/quickstart (the bucket, and how its keys are made of the date)
"""

from __future__ import annotations

from datetime import date
from types import MappingProxyType
from typing import Final

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.schemas.symbol_text import WHOLE_MARKET
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.http import HttpRequest, KeyPlace
from marketfetch.vendors.trading_days import sessions

from .datasets import FLAT_FILES
from .options import PolygonOptions

#: The folder of each timespan. https://massive.com/docs/flat-files/stocks/day-aggregates and .../minute-aggregates
FOLDERS: Final = MappingProxyType({"1d": "us_stocks_sip/day_aggs_v1", "1m": "us_stocks_sip/minute_aggs_v1"})
#: The session of the first file, by the same pages.
_FIRST: Final = date(2003, 9, 10)
_BUCKET: Final = "flatfiles"


def files_of(spec: JobSpec) -> list[Request]:
    """Returns a request for each session of the range that has a file. Raises PlanError for another timespan or adjustment."""
    if spec.timespan not in FOLDERS:
        raise PlanError(f"polygon's {FLAT_FILES} are bars of 1d or 1m (asked for {spec.timespan})")
    if spec.adjustment not in (None, "raw"):
        raise PlanError(f"polygon's {FLAT_FILES} are raw: leave the adjustment out (asked for {spec.adjustment})")
    shared = Request(provider="polygon", dataset=FLAT_FILES, symbol=WHOLE_MARKET, timespan=spec.timespan)
    days = sessions("XNYS", max(spec.start, _FIRST), spec.end)
    return [shared.model_copy(update={"start": day, "end": day}) for day in days]


def check_files(spec: JobSpec, options: PolygonOptions) -> None:
    """Raises PlanError for a wish that no file can fulfil: without credentials, or of sessions before the first file."""
    if not options.file_keys:
        raise PlanError(
            f"polygon's {FLAT_FILES} need the credentials of its S3 service, which are not those of the API: "
            f"set providers.polygon.file_keys, which a sandbox ignores, as it has no files; or ask for grouped"
        )
    if spec.start < _FIRST:
        raise PlanError(f"polygon's {FLAT_FILES} begin on {_FIRST} (asked for {spec.start}): ask for a later start")


def of_a_file(request: Request) -> HttpRequest:
    """Builds the call for the file of a session; its parts are pages, and all of them are in it. Raises PlanError."""
    folder = FOLDERS.get(request.timespan)
    if folder is None or request.start is None or request.start != request.end:
        raise PlanError(f"polygon has a file a session, of 1d or 1m (asked for {request.start} to {request.end})")
    day = request.start
    path = f"/{_BUCKET}/{folder}/{day:%Y}/{day:%m}/{day:%Y-%m-%d}.csv.gz"
    return HttpRequest(path=path, params=(), key=KeyPlace("signature", "Authorization"), is_file=True)
