"""The generation of a planned request: what its identity says of the time at which it was wished for.

"" if its bars were final then, so that the same request is never made again; else `as_of`, so that a later wish makes it anew.
A whole list, such as splits, is never final.
The core sets it for every vendor: a vendor names the finality of its bars, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.finality import Finality, is_final, lies_ahead
from marketfetch.vendors.protocol import Options, Vendor
from marketfetch.vendors.ranges import generation_of
from marketfetch.vendors.times import day_start_ms, unix_ms, zone_info
from marketfetch.vendors.trading_days import close_ms, zone_of_days

#: An `as_of` that ends with it is judged by the calendar; one without is of the release before.
_UTC: Final = "Z"
_MOST_SHOWN: Final = 100


def as_of_text(now: datetime) -> str:
    """Returns the `as_of` of a wish made now: UTC, to the minute before."""
    return now.astimezone(UTC).strftime(f"%Y-%m-%dT%H:%M{_UTC}")


def with_generations(spec: JobSpec, requests: Sequence[Request], vendor: Vendor[Options], options: Options) -> list[Request]:
    """Returns the requests with their generations, without those that begin in the future. Raises PlanError.

    PlanError if nothing of a symbol is left. A spec of the release before keeps that release's rule, and so its ids.
    """
    if not spec.as_of.endswith(_UTC):
        return [_named(one, generation_of(spec, one.end) if one.end else spec.again or spec.as_of) for one in requests]
    at_ms = unix_ms(datetime.fromisoformat(spec.as_of))
    found: list[Request] = []
    ahead: dict[str, str] = {}
    unpublished: dict[str, str] = {}
    for one in requests:
        if one.start is None or one.end is None:
            found.append(_named(one, spec.again or spec.as_of))  # a list may be longer, or corrected, tomorrow
            continue
        zone = vendor.zone(one, options)
        if today := lies_ahead(one.start, one.timespan, at_ms, zone=zone):
            ahead.setdefault(one.symbol, f"today is {today} in {zone}")
            continue
        finality = vendor.finality_of(one, options)
        final = is_final(finality, one.timespan, one.end, at_ms)
        if not final and _is_of_a_file(vendor, one):
            unpublished[one.symbol] = f"the file of {one.end} is not there before {_appears(finality, one.end)}"
            continue
        found.append(_named(one, spec.again or ("" if final else spec.as_of)))
    if ahead and (nothing := ahead.keys() - {one.symbol for one in found}):
        symbol = next(one for one in ahead if one in nothing)
        raise PlanError(
            f"{symbol[:_MOST_SHOWN]}: the range begins on {spec.start}, which lies in the future ({ahead[symbol]}), so there "
            f"can be no bars yet and nothing was sent. Ask for an earlier start; the end may lie in the future."
        )
    if unpublished and not found:
        raise PlanError(f"{next(iter(unpublished.values()))}, so nothing was sent. Ask then, or for an earlier session.")
    return found


def _is_of_a_file(vendor: Vendor[Options], request: Request) -> bool:
    return any(one.from_files and one.name == request.dataset for one in vendor.datasets)


def _appears(finality: Finality, day: date) -> str:
    """When the bars of a session are final, in the words of its exchange's zone."""
    zone = zone_of_days(finality.calendar, zone=finality.zone)
    closes_ms = close_ms(finality.calendar, day, zone=finality.zone) or day_start_ms(day, zone)
    at = datetime.fromtimestamp((closes_ms + finality.after_close_ms) / 1000, zone_info(zone))
    return f"{at:%Y-%m-%d %H:%M} in {zone}"


def other_generations(spec: JobSpec, request: Request) -> list[Request]:
    """Returns the request as it would be named had its bars been final at the wish, or not: for one of a recorded job.

    Calendars, delays and releases change; what was recorded does not.
    """
    return [_named(request, one) for one in ("", spec.as_of) if not spec.again and one != request.generation]


def _named(request: Request, generation: str) -> Request:
    return request if request.generation == generation else request.model_copy(update={"generation": generation})
