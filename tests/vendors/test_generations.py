"""A request's generation: "" once its bars were final at the wish, so that nothing final is asked for twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketfetch import vendors
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs import planning
from marketfetch.jobs.planning import make_spec, of_task
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request
from marketfetch.vendors.errors import PlanError
from marketfetch.vendors.generations import as_of_text, other_generations, with_generations
from marketfetch.vendors.times import unix_ms
from marketfetch.vendors.trading_days import close_ms


def wish(provider: str, symbols: str, start: str, end: str, as_of: str, **more: str) -> dict[str, Any]:
    return {"provider": provider, "symbols": symbols.split(), "start": start, "end": end, "as_of": as_of, **more}


#: Wishes of the release before with the ids that it gave to the job and to its requests: recorded with its code.
RECORDED = [
    (
        wish("polygon", "AAPL X:BTCUSD", "2026-01-02", "2026-11-20", "2026-11-20"),
        "9bd29d86621add22",
        ["048a10a836fd89fe060a", "8d7b851badb261c3dbc3"],
    ),
    (
        wish("polygon", "AAPL C:EURUSD", "2026-01-02", "2026-11-19", "2026-11-20"),
        "86056febfcb2f024",
        ["5186e671698868d755af", "c9d1df48705ceb4786e6"],
    ),
    (
        wish("polygon", "AAPL", "2026-07-02", "2026-11-20", "2026-11-20T10:15", timespan="5m"),
        "4550ad3b25695a6c",
        ["50910bd552ae3c10d99f", "7fbffba4408ce4c5fa8f", "7ec271e45a83f0158640"],
    ),
    (
        wish("polygon", "AAPL", "2026-11-02", "2027-11-20", "2026-11-20", timespan="1d"),
        "bb826edf35e3554f",
        ["c18b8088eebec974baff"],
    ),
    (
        wish("polygon", "AAPL", "2026-12-02", "2026-12-20", "2026-11-20", again="0123456789ab"),
        "fc6e72607694594a",
        ["8611dc8796f8c518b235"],
    ),
    (
        wish("alpha_vantage", "IBM TSCO.LON", "2026-10-01", "2026-11-20", "2026-11-20"),
        "59249e04ca88afd5",
        ["3c70f9a43933fde5c7d5", "9d68c178977ae93de404"],
    ),
    (
        wish("alpha_vantage", "IBM", "2026-10-01", "2026-12-20", "2026-11-20T23:59", timespan="5m"),
        "973cf3889477fbe6",
        ["5543a368790f9de0fa5b", "16bcd634286c838bec67", "9143e7a4e148980c8aa9"],
    ),
    (
        wish("alpha_vantage", "EUR/USD", "2026-10-01", "2026-11-19", "2026-11-20", dataset="fx", timespan="1w"),
        "6f0b329a03f7e29e",
        ["95a671e886e82f384184"],
    ),
    (
        wish("nasdaq", "AAPL WIKI/IBM", "2017-01-02", "2026-11-20", "2026-11-20"),
        "2f0bc03fb9bbde98",
        ["84bec7660e726971d45a", "41991f675056b59bd1f6"],
    ),
]


def planned(spec: dict[str, Any], **options: Any) -> list[Request]:
    vendor = vendors.vendor(spec["provider"])
    ours = vendor.options(base_url="http://vendor.test", **options)
    found = JobSpec.model_validate(spec)
    return with_generations(found, vendor.plan(found, ours), vendor, ours)


def polygon(symbols: str = "AAPL", *, start: str, end: str, as_of: str, timespan: str = "1d", **options: Any) -> list[Request]:
    return planned(wish("polygon", symbols, start, end, as_of, timespan=timespan), **options)


@pytest.mark.parametrize(("spec", "job", "requests"), RECORDED, ids=[job for _, job, _ in RECORDED])
def test_a_job_of_the_release_before_has_the_ids_that_it_was_recorded_with(spec, job, requests):
    assert JobSpec.model_validate(spec).id == job
    assert [one.id for one in planned(spec)] == requests


@given(
    symbol=st.sampled_from(["AAPL", "C:EURUSD", "X:BTCUSD"]),
    timespan=st.sampled_from(["5m", "1d", "1w", "1mo"]),
    days=st.tuples(st.dates(date(2024, 3, 1), date(2024, 12, 31)), st.integers(0, 150)),
    minutes=st.integers(0, 400 * 1_440),
    delay=st.integers(0, 3_000),
)
def test_no_piece_that_can_change_counts_as_final(symbol, timespan, days, minutes, delay):
    """Whatever the close, the clocks and the minute of the wish: what is "" had closed, and the delay had passed."""
    start, length = days
    wished = datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=1, minutes=minutes)
    pieces = polygon(
        symbol, start=str(start), end=str(start + timedelta(days=length)), as_of=as_of_text(wished), timespan=timespan,
        final_after_minutes=delay,
    )  # fmt: skip
    calendar = {"C:": "24/5", "X:": "24/7"}.get(symbol[:2], "XNYS")
    for one in pieces:
        assert one.generation in ("", as_of_text(wished))
        assert one.end is not None
        final_ms = [
            close + delay * 60_000
            for back in range(10)
            if (close := close_ms(calendar, one.end - timedelta(days=back))) is not None
        ]
        if one.generation == "":
            assert max(final_ms) <= unix_ms(wished)
    assert [one.generation for one in pieces] == sorted(one.generation for one in pieces), "a piece behind an open one is open"


def test_of_an_intraday_year_only_the_last_piece_is_asked_for_again():
    year = {"start": "2023-12-01", "end": "2024-11-29", "timespan": "5m"}
    first, second = (polygon(**year, as_of=as_of) for as_of in ("2024-11-29T17:00Z", "2024-11-29T17:01Z"))
    assert len(first) == len(second) == 7
    assert [one.id for one in first[:-1]] == [one.id for one in second[:-1]]
    assert first[-1].id != second[-1].id
    assert {one.generation for one in first[:-1]} == {""}
    # Half past eleven in New York: the extended trading of the half day has been over for six hours.
    final = polygon(**year, as_of="2024-11-30T04:30Z")
    assert {one.generation for one in final} == {""}
    assert [one.id for one in final] == [one.id for one in polygon(**year, as_of="2025-06-01T00:00Z")]


def test_a_wish_that_was_final_is_the_same_requests_for_ever_and_one_of_the_future_is_not():
    range_ = {"start": "2024-11-01", "end": "2024-11-29"}
    assert polygon(**range_, as_of="2024-11-30T04:00Z") == polygon(**range_, as_of="2026-11-30T04:00Z")
    anew = wish("polygon", "AAPL", **range_, as_of="2026-11-30T04:00Z", again="0123456789ab")
    assert [one.generation for one in planned(anew)] == ["0123456789ab"]
    open_end = {"start": "2024-11-01", "end": "2025-11-28"}
    (request,) = polygon(**open_end, as_of="2024-11-30T04:00Z")
    assert (request.end, request.generation) == (date(2025, 11, 28), "2024-11-30T04:00Z")


def test_pieces_that_begin_in_the_future_are_not_asked_for():
    pieces = polygon("AAPL", start="2024-10-01", end="2025-12-31", as_of="2024-11-29T17:00Z", timespan="1m")
    assert [(str(one.start), str(one.end)) for one in pieces] == [("2024-10-01", "2024-10-31"), ("2024-11-01", "2024-12-31")]


def test_a_range_that_lies_in_the_future_is_refused_with_the_date_of_today_in_the_zone():
    with pytest.raises(PlanError) as caught:
        polygon("X:BTCUSD AAPL", start="2024-11-30", end="2024-12-31", as_of="2024-11-30T03:00Z")
    assert str(caught.value) == (
        "AAPL: the range begins on 2024-11-30, which lies in the future (today is 2024-11-29 in America/New_York), so there "
        "can be no bars yet and nothing was sent. Ask for an earlier start; the end may lie in the future."
    )
    # What the release before has recorded goes on as it did.
    assert len(polygon("AAPL", start="2025-11-30", end="2025-12-31", as_of="2024-11-30")) == 1


@pytest.mark.parametrize("timespan", ["1m", "1d", "1mo"])
def test_the_time_of_a_wish_is_a_minute_in_utc_for_every_timespan(monkeypatch, timespan):
    monkeypatch.setattr(planning, "wished_at", lambda: datetime.fromisoformat("2024-11-29T23:59:59.9-05:00"))
    range_ = {"timespan": timespan, "dataset": "bars", "start": "2024-11-01", "end": "2024-11-29"}
    assert make_spec("polygon", ["AAPL"], again=False, **range_).as_of == "2024-11-30T04:59Z"


def test_a_task_of_the_future_is_refused_unless_it_runs_then(monkeypatch):
    monkeypatch.setattr(planning, "wished_at", lambda: datetime(2024, 11, 29, 12, tzinfo=UTC))
    range_ = {"start": "2024-12-02", "end": "2024-12-02"}
    with pytest.raises(BadRequestError, match="lies in the future"):
        of_task("polygon", ("AAPL",), range_, task_id="t")
    assert of_task("polygon", ("AAPL",), range_, task_id="t", at=datetime(2024, 12, 2, 22, tzinfo=UTC)).symbol == "AAPL"


def test_a_recorded_request_is_found_under_either_generation_and_only_under_its_own_nonce():
    range_ = {"start": "2024-11-01", "end": "2024-11-29"}
    spec = JobSpec.model_validate(wish("polygon", "AAPL", **range_, as_of="2024-11-29T17:00Z"))
    closed = Request(provider="polygon", symbol="AAPL", start=date(2024, 11, 1), end=date(2024, 11, 29))
    (other,) = other_generations(spec, closed)
    assert other.generation == spec.as_of
    assert other_generations(spec, other) == [closed]
    anew = spec.model_copy(update={"again": "0123456789ab"})
    assert other_generations(anew, closed.model_copy(update={"generation": anew.again})) == []
