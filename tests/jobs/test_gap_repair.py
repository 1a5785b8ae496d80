"""`marketfetch gaps --repair` asks for the sessions that a call may bring, and for nothing else."""

from __future__ import annotations

import json
from datetime import date

import pytest
from click.testing import CliRunner, Result

from marketfetch import connections
from marketfetch.cli.main import marketfetch as command
from marketfetch.configured import options
from marketfetch.jobs.gap_repair import can_mend, requests_for
from marketfetch.jobs.planning import make_spec
from marketfetch.ops.missing_sessions import Gap
from marketfetch.schemas.coverage import Days
from marketfetch.schemas.page import Reject
from marketfetch.settings import override
from tests.frames.test_gaps import covered, ended, keep_days, weekdays
from tests.frames.test_gaps_in_minutes import final, minutes
from tests.frames.test_gaps_in_minutes import keep as keep_minutes


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["gaps", "--repair", "--json", *arguments])


def asked(done: Result) -> list[list[tuple[str, str, str]]]:
    """Symbol, start and end of the requests of each job, as they are recorded with it."""
    found = []
    for job in json.loads(done.stdout)["jobs"]:
        sql = "SELECT arguments FROM job_requests WHERE job_id = ? ORDER BY position"
        rows = [json.loads(row[0]) for row in connections.store().database.read(sql, job["job"])]
        assert len(rows) == job["requests"]
        found.append([(one["symbol"], one["start"], one["end"]) for one in rows])
    return found


@pytest.fixture
def gappy(emptied):
    """AAPL lacks a session for each reason; KO lacks one that was never asked for."""
    emptied()
    store = connections.store()
    keep_days(store, "AAPL", weekdays(date(2023, 10, 2), date(2023, 12, 22), *LACKED, "2023-11-23"))
    covered(store, "AAPL", "2023-10-01", "2023-10-31", "2023-10-31")
    covered(store, "AAPL", "2023-12-01", "2023-12-22", "2023-12-22")
    refused = Reject(row=1, field="low", value="9", reason="low is above open", symbol="AAPL")
    ended(store, "AAPL", "2023-12-11", "2023-12-15", outcome="stored", rejects=[refused])
    ended(store, "AAPL", "2023-11-06", "2023-11-08", outcome="failed", reason="AAPL: Unavailable: 503.")
    keep_days(store, "KO", weekdays(date(2023, 11, 27), date(2023, 12, 8), "2023-12-04"))


LACKED = ("2023-10-10", "2023-11-07", "2023-11-14", "2023-12-12")


def test_it_asks_for_what_a_call_may_bring(gappy):
    done = run()
    assert done.exit_code == 0, done.output
    again, anew = sorted(asked(done), key=len)
    # What a final reply has covered needs a call of its own. The others are one call per symbol, from gap to gap.
    assert again == [("AAPL", "2023-12-12", "2023-12-12")]
    assert sorted(anew) == [("AAPL", "2023-11-07", "2023-11-14"), ("KO", "2023-12-04", "2023-12-04")]


def test_with_all_it_asks_for_what_the_vendor_had_none_of_too(gappy):
    done = run("AAPL", "--all")
    (again,) = [job for job in asked(done) if ("AAPL", "2023-10-10", "2023-12-12") in job]
    assert len(again) == 1


def test_only_what_was_chosen_is_repaired(gappy):
    assert asked(run("KO")) == [[("KO", "2023-12-04", "2023-12-04")]]
    assert asked(run("AAPL", "--end", "2023-10-31")) == []
    text = CliRunner().invoke(command, ["gaps", "--repair", "AAPL", "--end", "2023-10-31"])
    assert text.exit_code == 0
    assert "No call can bring these sessions, so nothing was submitted: --all asks for them all the same." in text.output


def test_years_between_an_empty_reply_and_the_first_bar_are_not_asked_for(gappy):
    covered(connections.store(), "KO", "1850-01-01", "1851-01-01", "1851-01-01")
    assert asked(run("KO")) == [[("KO", "2023-12-04", "2023-12-04")]]


def test_of_stretches_it_asks_for_their_sessions(emptied):
    emptied()
    store = connections.store()
    whole, noon, late = ("2024-01-09", "09:30-16:00"), ("2024-01-10", "09:30-12:00"), ("2024-01-11", "10:30-16:00")
    keep_minutes(store, "AAPL", *(minutes(*one) for one in (whole, noon, late)))
    final(store, "AAPL", "2024-01-11", "2024-01-11")
    done = run("AAPL")
    assert done.exit_code == 0, done.output
    assert asked(done) == [[("AAPL", "2024-01-10", "2024-01-10")]]
    assert json.loads(done.stdout)["jobs"][0]["sessions"] == 1
    assert sorted(asked(run("AAPL", "--all"))) == [
        [("AAPL", "2024-01-10", "2024-01-10")], [("AAPL", "2024-01-11", "2024-01-11")],
    ]  # fmt: skip


@pytest.fixture
def of_several():
    with override({"MARKETFETCH_PROVIDERS__NASDAQ__SYMBOLS_PER_REQUEST": "100"}):
        options.cache_clear()
        yield
    options.cache_clear()


def test_symbols_that_lack_different_days_share_a_call_of_several_symbols(of_several):
    names = ["A", "AA", "AAPL", "B"]
    spec = make_spec("nasdaq", names, again=False, start="2015-01-05", end="2015-03-31", dataset="WIKI/PRICES")
    january, february, march = (Days(date(2015, n, 5).toordinal(), date(2015, n, 27).toordinal()) for n in (1, 2, 3))
    found = requests_for(spec, {"B": [january], "A": [january], "AA": [february], "AAPL": [march]})
    assert [(one.symbol, str(one.start), str(one.end)) for one in found] == [("A,AA,AAPL,B", "2015-01-05", "2015-03-27")]
    of_polygon = make_spec("polygon", ["A", "AA"], again=False, start="2015-01-05", end="2015-03-31")
    assert [one.symbol for one in requests_for(of_polygon, {"A": [january], "AA": [february]})] == ["A", "AA"]


def test_the_job_is_named_and_has_a_tag(gappy):
    done = CliRunner().invoke(command, ["gaps", "--repair", "polygon", "KO"])
    assert done.exit_code == 0, done.output
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("job ")]
    assert line.endswith(": 1 request to polygon for 1 session of 1 symbol.")
    job = connections.store().job(line.split()[1].rstrip(":"))
    assert job is not None
    assert job.tags == ("repair",)
    assert CliRunner().invoke(command, ["gaps", "--all"]).exit_code == 2


@pytest.mark.parametrize(
    ("why", "reason", "mends"),
    [
        ("never asked", "", True),
        ("rejected", "low is above open", True),
        ("failed", "AAPL: Unavailable: the vendor has answered 503.", True),
        ("failed", "AAPL: UnknownSymbol: no such symbol.", False),
        ("failed", "AAPL: NotEntitled: upgrade your plan. The key is the one labelled 'main'.", False),
        ("vendor has none", "", False),
    ],
)
def test_a_call_does_not_bring_what_the_vendor_refused_or_lacks(why, reason, mends):
    day = date(2024, 1, 2)
    assert can_mend(Gap("polygon", "bars", "AAPL", "1d", "raw", day, day, 1, why, reason)) is mends
