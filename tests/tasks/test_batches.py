"""A batch survives its way through Redis in every value, and nothing unreadable is taken for one."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketfetch.jobs.batches import COMPRESSED, FRAMED, VERSION, NewerBatch, UnreadableBatch, decode, encode
from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns, BarSeries
from marketfetch.schemas.coverage import Covered
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.page import Reject
from marketfetch.schemas.record_kinds import Records

FLOATS = st.floats(allow_nan=True, allow_infinity=False, width=64)


def ledger(**more):
    return LedgerRow(request_id="r", root="r", page=0, provider="polygon", symbol="AAPL", outcome="stored", **more)


@st.composite
def series(draw):
    n = draw(st.integers(0, 20))
    floats = {name: np.array(draw(st.lists(FLOATS, min_size=n, max_size=n)), dtype=np.float64) for name in FLOAT_COLUMNS}
    ts = np.array(draw(st.lists(st.integers(-(2**53), 2**53), min_size=n, max_size=n)), dtype=np.int64)
    partial = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=np.bool_)
    return BarSeries(
        "polygon",
        draw(st.text(max_size=8)),
        "1d",
        "split",
        BarColumns(ts=ts, partial=partial, **floats),
        draw(st.text(max_size=8)),
    )


# How long an input takes to make says nothing where other work shares the cores.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(series(), max_size=3),
    st.lists(st.builds(Reject, st.integers(0, 9), st.text(), st.text(), st.text()), max_size=3),
    st.lists(
        st.builds(Covered, *[st.text()] * 5, st.dates(), st.dates(), st.none() | st.dates(), st.integers(0, 9)), max_size=2
    ),
)
def test_decode_is_the_inverse_of_encode(some, rejects, covered):
    batch = Batch(ledger=ledger(rows=7, next_cursor="c"), series=tuple(some), rejects=tuple(rejects), covered=tuple(covered))
    again = decode(encode(batch))
    assert (again.ledger, again.rejects, again.covered) == (batch.ledger, batch.rejects, batch.covered)
    for one, other in zip(batch.series, again.series, strict=True):
        names = ("symbol", "timespan", "adjustment", "zone")
        assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]
        for name in ("ts", "partial", *FLOAT_COLUMNS):
            np.testing.assert_array_equal(getattr(one.bars, name), getattr(other.bars, name))


def test_a_batch_that_is_only_framed_is_what_any_release_inflates():
    batch = Batch(ledger=ledger(rows=1, reason="why"))
    framed, compressed = encode(batch, level=FRAMED), encode(batch, level=COMPRESSED)
    assert zlib.decompress(framed) == zlib.decompress(compressed)
    assert decode(framed).ledger == decode(compressed).ledger == batch.ledger


def test_a_cross_section_is_columns_on_its_way_and_of_a_version_that_the_release_before_leaves_alone():
    columns = {name: np.array([1.0, np.nan]) for name in FLOAT_COLUMNS}
    bars = BarColumns.build(np.array([5, 5], dtype=np.int64), partial=np.array([True, False]), **columns)
    section = CrossSection("polygon", ("A", "B.C"), "1d", "raw", bars, "America/New_York")
    data = encode(Batch(ledger=ledger(rows=2), series=section))
    assert b'"version":2,' in zlib.decompress(data)
    again = decode(data).series
    assert isinstance(again, CrossSection)
    assert (again.symbols, again.timespan, again.adjustment, again.zone) == (("A", "B.C"), "1d", "raw", "America/New_York")
    for name in ("ts", "partial", *FLOAT_COLUMNS):
        np.testing.assert_array_equal(getattr(again.bars, name), getattr(bars, name))
    assert b'"version":1,' in zlib.decompress(encode(Batch(ledger=ledger(), series=tuple(section))))


def test_a_release_without_zones_and_coverage_reads_our_batch_and_we_read_its():
    """It unpacks five values of each series, and has neither a list of zones nor one of what is covered."""
    bars = BarColumns.build(np.array([1], dtype=np.int64), close=np.array([1.0]))
    raw = zlib.decompress(encode(Batch(ledger=ledger(), series=(BarSeries("polygon", "A", "1d", "raw", bars, "UTC"),))))
    length = int.from_bytes(raw[:4], "big")
    head = json.loads(raw[4 : 4 + length])
    assert head["series"] == [["polygon", "A", "1d", "raw", 1]]
    del head["zones"], head["covered"]
    text = json.dumps(head).encode()
    older = zlib.compress(len(text).to_bytes(4, "big") + text + raw[4 + length :])
    assert [one.zone for one in decode(older).series] == [""]


def test_five_thousand_bars_take_less_than_their_json():
    ts = np.arange(5000, dtype=np.int64) * 60_000
    price = np.round(100 + np.cumsum(np.random.default_rng(1).normal(0, 0.05, 5000)), 2)
    bars = BarColumns.build(ts, open=price, high=price + 0.1, low=price - 0.1, close=price)
    assert len(encode(Batch(ledger=ledger(), series=(BarSeries("polygon", "A", "1m", "raw", bars),)))) < 120_000


@pytest.mark.parametrize("data", [b"", b"no zlib", zlib.compress(b""), zlib.compress(b"\x00\x00\x00\x02{}")])
def test_what_is_no_batch_is_refused(data):
    with pytest.raises(UnreadableBatch):
        decode(data)


def of_version(version, *rest):
    head = f'{{"version":{version}}}'.encode()
    return zlib.compress(b"".join((len(head).to_bytes(4, "big"), head, *rest)))


def test_a_batch_of_a_newer_release_is_told_from_garbage():
    with pytest.raises(NewerBatch, match=f"batch of version {VERSION + 1}; this release reads version {VERSION}"):
        decode(of_version(VERSION + 1, b"in a layout of its own"))


@pytest.mark.parametrize("version", ["0", '"2"', "null", "true", "9.5", "[]"])
def test_a_version_that_no_release_has_is_garbage(version):
    with pytest.raises(UnreadableBatch):
        decode(of_version(version))


def test_every_cut_of_a_batch_is_refused():
    bars = BarColumns.build(np.arange(3, dtype=np.int64), close=np.ones(3))
    whole = encode(Batch(ledger=ledger(), series=(BarSeries("polygon", "A", "1m", "raw", bars),)))
    for length in range(len(whole)):
        with pytest.raises(UnreadableBatch):
            decode(whole[:length])


def test_records_travel_with_every_value_and_a_release_without_their_tables_leaves_them_alone():
    rows = (("AAPL", "2020-08-31", 4.0, 0.1, "id"), ("AAPL", "2014-06-09", 7.0, 1.0, ""), ("AAPL", None, 1e-9, 2, "ü"))
    row = LedgerRow("a", "a", 0, "polygon", "AAPL", "stored")
    for records in (Records("splits", rows), Records("splits"), Records("symbols", (), "delisted"), None):
        data = encode(Batch(row, records=records))
        assert decode(data).records == records
        assert (b'"version":2,' in zlib.decompress(data)) is (records is not None)
