"""`update`: the last sessions of each symbol's calendar until today, as a job like any other."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import marketfetch
from marketfetch import connections
from marketfetch.cli.main import marketfetch as command
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs import planning, scheduling
from marketfetch.jobs.updating import first_day, update_for
from marketfetch.schemas.job_spec import WHOLE_START
from marketfetch.vendors.times import local_date, unix_ms
from marketfetch.vendors.trading_days import close_ms
from tasks import job_tasks
from tests.jobs.test_recorded_plans import lane, stored


def first(*symbols: str, last: object = "5 sessions", at: str = "2024-02-21T23:00", provider: str = "polygon") -> str:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    return first_day(provider, symbols, last=last, timespan="1d", dataset="bars", at=moment).isoformat()


@pytest.mark.parametrize(
    ("symbols", "last", "expected"),
    [
        (["AAPL"], "1 session", "2024-02-21"),
        (["AAPL"], "5 sessions", "2024-02-14"),  # the 19th is a holiday
        (["X:BTCUSD"], "5 sessions", "2024-02-17"),
        (["C:EURUSD"], "5 sessions", "2024-02-16"),  # but no Saturday
        (["X:BTCUSD", "AAPL"], "5 sessions", "2024-02-14"),
        (["AAPL"], "3 days", "2024-02-18"),
        (["AAPL"], "30d", "2024-01-22"),
    ],
)
def test_the_last_sessions_are_those_of_each_calendar(symbols, last, expected):
    assert first(*symbols, last=last) == expected


def test_the_day_is_that_of_the_exchange():
    assert first("AAPL", last="1 session", at="2024-02-22T02:00") == "2024-02-21"  # still the evening of the 21st in New York
    assert first("X:BTCUSD", last="1 session", at="2024-02-22T02:00") == "2024-02-22"


@hypothesis_settings(deadline=None)
@given(st.integers(0, 330_000), st.integers(1, 300))
def test_so_many_sessions_lie_from_the_first_day_to_today(hours, number):
    moment = datetime(1991, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    begin = first_day("polygon", ["AAPL"], last=f"{number} sessions", timespan="1d", dataset="bars", at=moment)
    today = local_date(unix_ms(moment), "America/New_York")
    days = [begin + timedelta(days=n) for n in range((today - begin).days + 1)]
    assert sum(close_ms("XNYS", day) is not None for day in days) == number
    assert close_ms("XNYS", begin) is not None


@pytest.mark.parametrize("last", ["", "0 sessions", "five", "5 weeks", 5, None, "5001 sessions"])
def test_what_is_no_number_of_sessions_is_refused(last):
    with pytest.raises(BadRequestError, match="last is a number of sessions or days, such as '5 sessions' or '30d'"):
        first("AAPL", last=last)


def test_an_update_is_a_job_of_the_last_sessions(emptied, tmp_path, monkeypatch):
    emptied()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("KO\nPEP\n")
    # The wish is made on Thursday, 1 February 2024.
    one = marketfetch.update("polygon", ["@mine.txt"], last="2 sessions", tags=["nightly"])
    twice = [update_for("some-task", "polygon", ["@mine.txt"], name="by name") for _ in range(2)]
    assert twice[0] == twice[1]
    done = CliRunner().invoke(command, ["update", "polygon", "@mine.txt", "--last", "30d", "--json"])
    assert done.exit_code == 0, done.output
    specs = [
        json.loads(job.spec)
        for job in map(connections.store().job, (one.job_id, twice[0], json.loads(done.stdout)["job"]))
        if job is not None
    ]
    assert {tuple(spec["symbols"]) for spec in specs} == {("KO", "PEP")}
    assert [(spec["start"], spec["end"]) for spec in specs] == [
        ("2024-01-31", "2024-02-01"), ("2024-01-26", "2024-02-01"), ("2024-01-02", "2024-02-01"),
    ]  # fmt: skip


def test_what_an_update_leaves_out_is_named_with_the_command_that_fetches_it(emptied):
    emptied()
    marketfetch.submit("polygon", ["KO", "PEP"], start=date(2023, 12, 1), end=date(2023, 12, 29))
    marketfetch.submit("polygon", ["KO"], start=date(2024, 1, 2), end=date(2024, 1, 3))
    for root in lane():
        stored(root)

    def says(*arguments: str) -> str:
        done = CliRunner().invoke(command, ["update", "polygon", *arguments])
        assert done.exit_code == 0, done.output
        return done.stderr

    # The wish is made on Thursday, 1 February 2024: its two sessions are the last of January and that day's.
    assert (
        "18 sessions of KO before 2024-01-31 are not stored: "
        "`marketfetch fetch polygon KO --start 2024-01-04` fetches what is missing.\n"
    ) in says("KO", "--last", "2 sessions")
    assert (
        "20 sessions of PEP, and some of 1 other symbol, before 2024-01-31 are not stored: "
        "`marketfetch fetch polygon KO PEP --start 2023-12-30` fetches what is missing.\n"
    ) in says("KO", "PEP", "IBM", "--last", "2 sessions")
    assert "not stored" not in says("IBM", "--last", "2 sessions"), "a new symbol has nothing older"
    assert "not stored" not in says("KO", "PEP", "--last", "40d"), "the range begins among what is stored"
    assert "not stored" not in says("KO", "--dataset", "splits"), "a whole list has no range"


def test_the_advice_of_an_update_without_a_call_can_be_followed(emptied, monkeypatch):
    emptied()
    marketfetch.submit("polygon", ["KO"], start=date(2024, 1, 30), end=date(2024, 1, 31))
    for root in lane():
        stored(root)
    # Still the evening of 31 January in New York.
    monkeypatch.setattr(planning, "wished_at", lambda: datetime(2024, 2, 1, 3, tzinfo=UTC))
    done = CliRunner().invoke(command, ["update", "polygon", "KO", "--last", "2 sessions"])
    says = "All of it is stored already: 0 calls. `marketfetch fetch ... --again` fetches a range anew."
    assert done.stderr == f"{says}\n"
    said = CliRunner().invoke(command, ["status", done.stdout.strip()]).stdout
    assert "No call was needed: all of it was stored already" in said


def test_an_update_says_that_it_is_the_same_job_as_a_moment_ago(emptied):
    emptied()
    first, again = (CliRunner().invoke(command, ["update", "polygon", "KO", "--last", "2 sessions"]) for _ in range(2))
    assert first.stdout == again.stdout
    assert "less than a minute ago" not in first.stderr
    assert "The same job was submitted less than a minute ago" in again.stderr


def test_a_number_without_a_unit_is_said_to_be_sessions(emptied):
    emptied()
    said = {last: CliRunner().invoke(command, ["update", "polygon", "KO", "--last", last]).stderr for last in ("2", "2 days")}
    assert said["2"].startswith("--last 2 means 2 sessions, by each symbol's calendar; '2 days' are days.\n")
    assert "--last" not in said["2 days"]


def test_a_number_of_sessions_that_can_not_be_read_exits_as_a_wrong_word_does(emptied):
    emptied()
    done = CliRunner().invoke(command, ["update", "polygon", "KO", "--last", "3 sesions"])
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)


def test_an_update_has_no_range_of_its_own(emptied):
    with pytest.raises(BadRequestError, match="start is no argument of an update"):
        update_for("a-task", "polygon", ["KO"], start=date(2024, 1, 2))
    with pytest.raises(BadRequestError, match="no vendor"):
        marketfetch.update("poligon", ["KO"])


def test_an_app_that_knows_names_only_can_update(emptied):
    emptied()
    wish = {"provider": "polygon", "symbols": ["KO"], "last": "2 sessions"}
    done = job_tasks.update.apply(kwargs=wish, task_id="from-a-beat")
    job = connections.store().job(done.get())
    assert job is not None
    assert (job_tasks.update.name, json.loads(job.spec)["start"]) == ("marketfetch.update", "2024-01-31")


def test_a_whole_list_is_updated_as_a_whole(emptied):
    emptied()
    job = connections.store().job(marketfetch.update("polygon", ["KO"], dataset="splits").job_id)
    assert job is not None
    assert json.loads(job.spec)["dataset"] == "splits"


@pytest.mark.parametrize("dataset", ["splits", "Dividends", "symbols", "delisted", "grouped"])
def test_a_list_of_all_symbols_is_updated_in_every_way_in(emptied, tmp_path, monkeypatch, dataset):
    """`*` in Python, in a command, by name, and in a schedule: of a list by days the last days, of any other the whole list."""
    monkeypatch.chdir(tmp_path)
    emptied()
    asked = marketfetch.update("polygon", ["*"], dataset=dataset)
    spec = json.loads(connections.store().job(asked.job_id).spec)  # type: ignore[union-attr]
    by_days = dataset.lower() in ("splits", "dividends", "grouped")
    assert (spec["symbols"], spec["start"] == str(WHOLE_START)) == (["*"], not by_days)
    wish = {"provider": "polygon", "symbols": ["*"], "dataset": dataset}
    by_name = job_tasks.update.apply(kwargs=wish, task_id=f"from-a-beat-{dataset}").get()
    done = CliRunner().invoke(command, ["update", "polygon", "*", "--dataset", dataset, "--json"])
    assert done.exit_code == 0, done.output
    text = f'[[schedule]]\nname = "all"\nprovider = "polygon"\nsymbols = ["*"]\ndataset = "{dataset}"\nwhen = "every 6h"\n'
    (tmp_path / "marketfetch.toml").write_text(text)
    (planned,) = scheduling.schedules()
    assert planned.fault == ""
    for job in (by_name, json.loads(done.stdout)["job"], scheduling.run_now("all").job_id):
        found = json.loads(connections.store().job(job).spec)  # type: ignore[union-attr]
        assert {name: found[name] for name in ("symbols", "dataset", "start", "end")} == {
            name: spec[name] for name in ("symbols", "dataset", "start", "end")
        }
