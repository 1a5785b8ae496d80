"""The quick reader and the contract read the same from the same bytes; what the contract would not take, only it looks at."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from marketfetch.providers.polygon.aggregates import FIELDS, Aggs, by_contract, quick

from marketfetch.schemas.bars import FLOAT_COLUMNS
from marketfetch.vendors.absence import is_absent
from marketfetch.vendors.errors import FetchError
from marketfetch.vendors.http import HttpReply

RECORDINGS = Path(__file__).parent.parent / "recordings" / "polygon"
GOOD = {"t": 1_672_722_000_000, "o": 130.28, "h": 130.9, "l": 124.17, "c": 125.07, "v": 1.12117471e08, "vw": 125.725, "n": 7}

_number = (
    st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from((0, -0.0, 5e-324, 1e308))
)
_value: st.SearchStrategy[object] = _number | st.sampled_from((None, True, "1.5", "", [], {}, math.nan, math.inf))
_row = st.fixed_dictionaries(
    {name: st.just(value) | _number for name, value in GOOD.items() if name in "tohlc"},
    optional=dict.fromkeys(("v", "vw", "n", "otc"), _number),
)
_odd_row = st.dictionaries(st.sampled_from((*GOOD, "otc", "x")), _value)
_envelope = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(("OK", "DELAYED", 1, None)),
        "ticker": st.sampled_from(("AAPL", "X:é", "\ud800", None)),
        "adjusted": st.sampled_from((True, False, 1, "true", None)),
        "resultsCount": st.sampled_from((1, 1.0, 1.5, "1", None, 2**64)),
        "next_url": st.sampled_from(("http://a/b", None)),
        "request_id": st.sampled_from(("a", None, {"a": ["\\"]})),
    },
)
_reply = st.builds(
    lambda rows, envelope, ascii_only: json.dumps({**envelope, "results": rows}, ensure_ascii=ascii_only).encode(
        errors="surrogatepass"
    ),
    st.lists(_row, max_size=4) | st.lists(_row | _odd_row, max_size=4) | st.sampled_from((None, {}, "x")),
    _envelope,
    st.booleans(),
)


def contract(body: bytes) -> Aggs | None:
    try:
        return by_contract(HttpReply(200, {}, body), symbol="AAPL")
    except FetchError:
        return None


def same(body: bytes) -> bool:
    """True if the quick reader took it; then it is held against the contract."""
    found = quick(body)
    if found is None:
        return False
    held = contract(body)
    assert held is not None, "the contract refuses it"
    assert not held.rejects
    assert not held.null
    assert held.envelope == found.envelope
    assert np.array_equal(held.numbers, found.numbers)
    for name in ("ts", *FLOAT_COLUMNS):
        ours, theirs = getattr(found.bars, name), getattr(held.bars, name)
        assert ours.dtype == theirs.dtype
        # Bit by bit, so that a number is not nearly the same.
        assert ours.tobytes() == theirs.tobytes(), name
    return True


@settings(deadline=None)
@given(body=_reply)
@example(body=json.dumps({"results": []}).encode())
@example(body=json.dumps({"status": "OK"}).encode())
@example(body=b'{"results":[{"t":1,"o":1,"h":1,"l":1,"c":1}],"results":[{"t":2,"o":1,"h":1,"l":1,"c":1}]}')
@example(body=b'{"results":[{"t":1,"t":2.0,"o":1,"h":1,"l":1,"\\u0063":1}]}')
@example(body=b'{"results":[{"t":4102444800001,"o":1,"h":1,"l":1,"c":1}]}')
@example(body=b'{"results":[{"t":1.5,"o":1,"h":1,"l":1,"c":1}]}')
def test_what_the_quick_reader_takes_the_contract_reads_the_same(body):
    same(body)


@settings(deadline=None)
@given(data=st.data())
def test_a_damaged_reply_is_read_the_same_or_left_to_the_contract(data):
    body = bytearray(json.dumps({"ticker": "AAPL", "results": [GOOD, GOOD], "status": "OK"}).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        new = data.draw(st.sampled_from(b'0123456789eE+-.,:"\\[]{}nul truefas \x00\xff'))
        match data.draw(st.sampled_from(("change", "insert", "delete", "cut"))):
            case "change":
                body[at] = new
            case "insert":
                body.insert(at, new)
            case "delete" if len(body) > 1:
                del body[at]
            case _:
                del body[at + 1 :]
    same(bytes(body))


@settings(deadline=None)
@given(body=_reply)
@example(body=json.dumps({"results": [GOOD, {**GOOD, "h": None}, {**GOOD, "v": None}, {**GOOD, "t": 1.5}]}).encode())
@example(body=b'{"results":[{"t":1,"o":1,"h":1,"l":1,"c":1' + b"0" * 400 + b"}]}")
def test_each_row_is_a_bar_as_it_stands_there_or_a_reject(body):
    held = contract(body)
    if held is None:
        return
    rows = json.loads(body).get("results") or []
    assert sorted([*held.numbers.tolist(), *(one.row for one in held.rejects)]) == list(range(len(rows)))
    for at, number in enumerate(held.numbers):
        row = rows[number]
        assert held.bars.ts[at] == int(row["t"])
        for name, ours in FIELDS.items():
            said = row.get(name)
            value = math.nan if is_absent(said) else float(str(said))  # more digits than a float has are infinite
            assert np.array_equal(getattr(held.bars, ours)[at], value, equal_nan=True)


def test_good_replies_are_read_quickly():
    """So that the tests above have something to compare."""
    assert same(json.dumps({"results": [GOOD] * 3, "status": "OK", "adjusted": True, "resultsCount": 3}).encode())
    assert same(json.dumps({"results": [{name: GOOD[name] for name in "tohlc"}, {**GOOD, "otc": True}]}).encode())
    # A bar of one symbol has no ticker of its own; those of the whole market, and of a snapshot, have one.
    kinds = {path: path.read_bytes() for path in RECORDINGS.glob("*.json")}
    recorded = [path for path, body in kinds.items() if b'"vw"' in body and not re.search(rb'"(T|prevDay)"', body)]
    assert len(recorded) >= 2
    assert all(same(path.read_bytes()) for path in recorded)


@pytest.mark.parametrize("field", list(GOOD))
@pytest.mark.parametrize("value", [None, "1", True, math.nan, math.inf, [1]])
def test_an_unusual_value_is_left_to_the_contract(field, value):
    assert quick(json.dumps({"results": [GOOD, {**GOOD, field: value}]}).encode()) is None
