"""Replies that blame a key, or only seem to: each vendor has every one on demand, and each ends as what it is."""

from __future__ import annotations

import pytest

from marketfetch.local.sandbox_process import Sandbox
from marketfetch.sandbox.verdicts import WAYS
from marketfetch.vendors import names
from marketfetch.vendors.errors import BadCredentials, BadRequest, FetchError, Unavailable
from tests.sandbox.test_odd_replies import fetched

#: The class of the error tree, and what of the words is not known. A greeting is no error.
ENDS: dict[str, tuple[type[FetchError], str]] = {
    "rejected key": (BadCredentials, ""),
    "cdn 403": (Unavailable, ""),
    "unknown 403": (Unavailable, "refusal"),
    "unknown sentence": (Unavailable, "sentence"),
    "plain 404": (BadRequest, ""),
}


@pytest.mark.parametrize("name", names())
def test_each_ends_as_what_it_is(sandbox: Sandbox, name: str) -> None:
    assert {*ENDS, "example url", "greeting"} == set(WAYS)
    for way, (kind, unknown) in ENDS.items():
        sandbox.control.faults(kind="verdict", provider=name, way=way)
        with pytest.raises(kind) as found:
            fetched(sandbox, name)
        assert getattr(found.value, "unknown", "") == unknown, way
    sandbox.control.faults(kind="verdict", provider=name, way="example url")
    with pytest.raises(Unavailable):
        fetched(sandbox, name)


@pytest.mark.parametrize("name", names())
def test_a_greeting_keeps_every_row(sandbox: Sandbox, name: str) -> None:
    rows = fetched(sandbox, name).rows
    sandbox.control.faults(kind="verdict", provider=name, way="greeting")
    assert fetched(sandbox, name).rows == rows > 0


def test_a_fault_for_one_key_strikes_no_other(sandbox: Sandbox) -> None:
    sandbox.control.faults(kind="verdict", provider="polygon", way="cdn 403", key="another", count=5)
    assert fetched(sandbox, "polygon").rows > 0
    sandbox.control.faults(kind="verdict", provider="polygon", way="cdn 403", key="S3CR3T")
    with pytest.raises(Unavailable):
        fetched(sandbox, "polygon")
