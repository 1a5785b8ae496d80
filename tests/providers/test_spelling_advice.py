"""A symbol in another vendor's spelling, or of another dataset, is refused with what to write; what may be known is sent."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from marketfetch import vendors
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs import planning
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.storage.store import Job
from marketfetch.vendors.errors import PlanError

YEAR_2017 = {"start": date(2017, 1, 1), "end": date(2017, 12, 31)}


def spec(provider: str, *symbols: str, **wish: object) -> JobSpec:
    return JobSpec.model_validate({"provider": provider, "symbols": symbols, "as_of": "2026-11-20", **YEAR_2017, **wish})


def check(provider: str, *symbols: str, **wish: object) -> None:
    vendor = vendors.vendor(provider)
    credentials = {"file_keys": {"*": "id:secret"}} if "file_keys" in vendor.options.model_fields else {}
    vendor.check_wish(spec(provider, *symbols, **wish), vendor.options(**credentials))


@pytest.mark.parametrize(
    ("provider", "symbol", "wish", "advice"),
    [
        ("polygon", "BRK-B", {}, "write BRK.B instead of BRK-B"),
        ("polygon", "BRK_B", {}, "write BRK.B"),
        ("polygon", "BRK/B", {}, "write BRK.B"),
        ("polygon", "EUR/USD", {}, "write C:EURUSD instead of EUR/USD"),
        ("polygon", "EURUSD", {}, "write C:EURUSD"),
        ("polygon", "EURUSD=X", {}, "write C:EURUSD"),
        ("polygon", "BTC-USD", {}, "write X:BTCUSD"),
        ("polygon", "btc/usd", {}, "write X:BTCUSD"),
        ("polygon", "^GSPC", {}, "write I:SPX"),
        ("polygon", "^NDX", {}, "write I:NDX"),
        ("polygon", "ES=F", {}, "futures are no dataset here"),
        ("polygon", "aapl", {}, "write AAPL instead of aapl"),
        ("alpha_vantage", "EUR/USD", {}, "ask for EUR/USD with the dataset fx (--dataset fx)"),
        ("alpha_vantage", "C:EURUSD", {}, "ask for EUR/USD with the dataset fx"),
        ("alpha_vantage", "EURUSD=X", {}, "ask for EUR/USD with the dataset fx"),
        ("alpha_vantage", "X:BTCUSD", {}, "ask for BTC/USD with the dataset crypto"),
        ("alpha_vantage", "BTC-USD", {"timespan": "1h"}, "ask for BTC/USD with the dataset crypto"),
        ("alpha_vantage", "XXX/YYY", {"dataset": "TIME_SERIES_WEEKLY"}, "a pair of currencies is in the dataset fx"),
        ("alpha_vantage", "EUR/USD", {"dataset": "crypto"}, "with the dataset fx"),
        ("alpha_vantage", "BRK.B", {}, "write BRK-B instead of BRK.B"),
        ("alpha_vantage", "BRK.B", {"dataset": "splits"}, "write BRK-B"),
        ("alpha_vantage", "BRK.B", {"dataset": "snapshots"}, "write BRK-B"),
        ("alpha_vantage", "BAC.PRL", {}, "write BAC-P-L instead of BAC.PRL"),
        ("polygon", "BAC.PRL", {}, "write BACpL instead of BAC.PRL"),
        ("nasdaq", "BAC.PRL", {}, "a preferred stock, of which WIKI/PRICES has none"),
        ("alpha_vantage", "BRK_B", {}, "write BRK-B instead of BRK_B"),
        ("alpha_vantage", "BRK/B", {}, "write BRK-B"),
        ("alpha_vantage", "^GSPC", {}, "indices are no dataset here"),
        ("alpha_vantage", "I:NDX", {}, "indices are no dataset here"),
        ("alpha_vantage", "ES=F", {}, "futures are no dataset here"),
        ("alpha_vantage", "O:SPY251219C00650000", {}, "options are no dataset here"),
        ("nasdaq", "BRK.B", {}, "write BRK_B instead of BRK.B"),
        ("nasdaq", "BRK-B", {"dataset": "wiki/prices"}, "write BRK_B"),
        ("nasdaq", "C:EURUSD", {}, "WIKI/PRICES has stocks of the US alone"),
        ("nasdaq", "^GSPC", {}, "DATABASE/CODE"),
        ("nasdaq", "AAPL", {"start": date(2024, 1, 1), "end": date(2024, 12, 31)}, "WIKI/PRICES ended on 2018-03-27"),
        ("nasdaq", "AAPL", {"start": date(2018, 3, 28), "end": date(2018, 3, 29)}, "ask for a range that begins by then"),
        ("nasdaq", "WIKI/AAPL", {"start": date(2020, 1, 1), "end": date(2020, 1, 9)}, "has nothing of WIKI/AAPL"),
    ],
)
def test_what_is_sure_to_bring_nothing_is_refused_with_what_to_write(provider, symbol, wish, advice):
    with pytest.raises(PlanError) as caught:
        check(provider, symbol, **wish)
    assert advice in str(caught.value)
    assert symbol in str(caught.value)


@pytest.mark.parametrize(
    ("provider", "symbol", "wish"),
    [
        ("polygon", "BRK.B", {}),
        ("polygon", "BACpL", {}),
        ("polygon", "M&M.BSE", {}),
        ("polygon", "C:EURUSD", {}),
        ("polygon", "X:BTCUSD", {}),
        ("polygon", "I:NDX", {}),
        ("polygon", "O:SPY251219C00650000", {}),
        ("polygon", "BAC-PL", {}),
        ("polygon", "ABC/DEF", {}),
        ("alpha_vantage", "EURUSD", {}),
        ("alpha_vantage", "aapl", {}),
        ("alpha_vantage", "M&M.BSE", {}),
        ("alpha_vantage", "TSCO.LON", {}),
        ("alpha_vantage", "C:EURUSD", {"dataset": "fx"}),
        ("alpha_vantage", "BTC/USD", {"dataset": "fx"}),
        ("nasdaq", "BRK_B", {}),
        ("nasdaq", "EURUSD", {}),
        ("nasdaq", "EUR/USD", {}),
        ("nasdaq", "BRK.B", {"dataset": "ACME/PRICES", "start": date(2024, 1, 1), "end": date(2024, 12, 31)}),
        ("nasdaq", "AAPL", {"start": date(2018, 3, 27), "end": date(2024, 12, 31)}),
        ("nasdaq", "FRED/GDP", {"start": date(2024, 1, 1), "end": date(2024, 12, 31)}),
    ],
)
def test_what_the_vendor_may_know_is_sent_as_it_is(provider, symbol, wish):
    check(provider, symbol, **wish)
    assert {one.symbol for one in vendors.vendor(provider).plan(
        spec(provider, symbol, **wish, **({"as_of": "2017-12-31"} if wish.get("dataset") == "fx" else {})),
        vendors.vendor(provider).options(),
    )} == {symbol}  # fmt: skip


@pytest.mark.parametrize("provider", ["alpha_vantage", "nasdaq", "polygon"])
def test_each_vendor_takes_one_spelling_of_a_share_class_and_names_it_for_the_others(provider):
    (own,) = next(form.examples for form in vendors.vendor(provider).symbol_forms if form.kind == "share class")
    dataset = next(form.dataset for form in vendors.vendor(provider).symbol_forms if form.kind == "share class")
    for sign in ".-_/":
        symbol = f"BRK{sign}B"
        if symbol == own:
            check(provider, symbol, dataset=dataset)
            continue
        with pytest.raises(PlanError, match=f"write {own} instead of {symbol}"):
            check(provider, symbol, dataset=dataset)


@pytest.mark.parametrize("provider", ["alpha_vantage", "nasdaq", "polygon"])
def test_the_vendors_own_forms_are_never_refused(provider):
    for form in vendors.vendor(provider).symbol_forms:
        check(provider, *form.examples, dataset=form.dataset, timespan=form.timespan)


def test_of_many_symbols_three_are_named():
    with pytest.raises(PlanError, match="The same is true of 2 more symbols"):
        check("polygon", *(f"AB{letter}-A" for letter in "ABCDE"))


def test_a_new_job_and_a_task_are_refused_and_a_recorded_job_is_planned():
    wish = {"start": date(2024, 1, 1), "end": date(2024, 12, 31)}
    with pytest.raises(BadRequestError, match="ended on 2018-03-27"):
        planning.plan_new(spec("nasdaq", "AAPL", **wish))
    with pytest.raises(BadRequestError, match="ended on 2018-03-27"):
        planning.of_task("nasdaq", ("AAPL",), {name: str(day) for name, day in wish.items()}, task_id="t")
    recorded = spec("nasdaq", "AAPL", **wish)
    job = Job(id=recorded.id, spec=recorded.model_dump_json(), created_at_ms=0)
    assert len(planning.plan(planning.spec_of(job))) == 1


def test_bad_symbols_are_reported_by_their_sentences():
    wish: dict[str, Any] = {**YEAR_2017, "timespan": "1d"}
    with pytest.raises(BadRequestError) as caught:
        planning.make_spec("polygon", ["A B", "A,B", "", "A[B]", "A;B"], again=False, **wish)
    assert str(caught.value) == (
        "The job can't be planned: the symbol 'A B' has a blank: name each symbol by itself; the symbol 'A,B' has a comma: "
        "name each symbol by itself; a symbol is empty: name one, such as the vendor's own spelling of a stock; and 2 more."
    )
