"""Replies that are hostile in what they say: each vendor has every one on demand, and each ends in a named, harmless error."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import get_args

import pytest
from pydantic import SecretStr

from marketfetch.local.sandbox_process import Sandbox
from marketfetch.sandbox.faults import Fault, Kind
from marketfetch.sandbox.odd_replies import WAYS
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors import names, reading, transport, vendor
from marketfetch.vendors.errors import Fatal, FetchError, RateLimited, TooManyRejects, TooManyRows, Transient, Unavailable

#: What each way ends as: one of these classes of the error tree.
ENDS: dict[str, tuple[type[FetchError], ...]] = {
    "empty rows": (TooManyRows,),
    "wrong types": (TooManyRows,),
    "deep nesting": (TooManyRows, Unavailable),
    "huge string": (Unavailable, TooManyRejects, TooManyRows),
    "control characters": (Fatal, Unavailable),
    "endless wait": (Transient, RateLimited),
    "odd location": (Unavailable,),
    "odd length": (Unavailable,),
    "long length": (Unavailable,),
}


def fetched(sandbox: Sandbox, name: str) -> Page:
    known = vendor(name)
    options = known.options(base_url=sandbox.base_urls[name])
    start, end = (date(2016, 1, 4), date(2016, 1, 8)) if name == "nasdaq" else (date(2026, 5, 4), date(2026, 5, 15))
    dataset = "WIKI/PRICES" if name == "nasdaq" else "bars"
    request = Request(provider=name, dataset=dataset, symbol="QQQQ", start=start, end=end)
    reply = transport.send(
        known.build_request(request, options),
        base_url=options.base_url,
        provider=name,
        key_label="main",
        key=SecretStr("S3CR3T"),
        timeouts=transport.Timeouts(),
    )
    return reading.read(request, reply, options, max_reject_share=0.2, secrets=("S3CR3T",), now=datetime.now(UTC))


def test_every_way_has_an_end() -> None:
    assert set(ENDS) == set(WAYS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", names())
def test_each_ends_as_a_named_error_that_a_terminal_can_show(sandbox: Sandbox, name: str, way: str) -> None:
    assert fetched(sandbox, name).rows > 0
    sandbox.control.faults(kind="odd", provider=name, way=way)
    with pytest.raises(FetchError) as found:
        fetched(sandbox, name)
    assert isinstance(found.value, ENDS[way]), found.value
    assert found.value.message.isprintable()
    assert len(found.value.message) < 1_100
    assert not isinstance(found.value, Transient) or not found.value.retry_after_ms or found.value.retry_after_ms > 0
    assert fetched(sandbox, name).rows > 0, "the next call is served"


def test_a_fault_without_its_place_is_refused_with_the_choices() -> None:
    for kind, field in (("pages", "way"), ("echo_key", "stage"), ("odd", "way"), ("verdict", "way")):
        with pytest.raises(ValueError, match=f"a fault of the kind {kind} has a {field}, one of: "):
            Fault.parse({"kind": kind, field: "nothing"})
    assert {"pages", "echo_key", "odd", "verdict"} <= set(get_args(Kind))
