"""From a wish to requests, and from a request to its call. https://acme.example/docs/bars"""

from __future__ import annotations

from urllib.parse import quote

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.http import HttpRequest, KeyPlace
from marketfetch.vendors.ranges import split_by_months

from .options import AcmeOptions


def plan(spec: JobSpec, options: AcmeOptions) -> list[Request]:
    """One request per symbol and `years_per_request` calendar years. Raises PlanError."""
    if (spec.dataset, spec.timespan, spec.adjustment or "raw") != ("bars", "1d", "raw"):
        raise PlanError("acme has daily bars as traded only: ask for the dataset bars, the timespan 1d, the adjustment raw")
    return [
        Request(provider="acme", symbol=symbol, timespan="1d", adjustment="raw", start=start, end=end)
        for symbol in spec.symbols
        for start, end in split_by_months(spec.start, spec.end, months=12 * options.years_per_request)
    ]


def build_request(request: Request, options: AcmeOptions) -> HttpRequest:
    """`GET /bars/ANVIL?from=2024-01-01&to=2024-12-31`, with the key in a header."""
    if request.start is None or request.end is None:
        raise PlanError("acme serves ranges only: give a start and an end")
    params = (("from", request.start.isoformat()), ("to", request.end.isoformat()))
    return HttpRequest(f"/bars/{quote(request.symbol, safe='')}", params, KeyPlace("header", "X-Acme-Key"))
