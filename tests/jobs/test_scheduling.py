"""Schedules: a due one is a job, once; what was missed is caught up once; what still goes is not started again."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from marketfetch import connections
from marketfetch.cli.main import marketfetch as command
from marketfetch.exceptions import BadRequestError, UnavailableError
from marketfetch.jobs import scheduling
from marketfetch.jobs.schedule_faults import faults
from marketfetch.jobs.scheduling import pause, resume, run_due, run_now, schedules
from marketfetch.jobs.updating import update
from marketfetch.ops.universe_diagnosis import of_universes
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.settings import SettingsError, get_settings
from marketfetch.vendors.times import unix_ms
from tasks import schedule_tasks
from tasks.celeryconfig import beat_schedule
from tests.frames.test_gaps import keep_days, weekdays

NIGHTLY = """
[[schedule]]
name = "nightly"
provider = "polygon"
universe = "list"
last = "2 sessions"
when = "session close + 20m"
"""
LIST = '[universes]\nlist = ["KO", "PEP"]\n'


def ms(text: str) -> int:
    return unix_ms(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.fixture
def toml(emptied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file, which may change while the process runs."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "marketfetch.toml"
    file.write_text(LIST + NIGHTLY)
    get_settings.cache_clear()
    emptied()
    return file


def end_all() -> None:
    """The requests of every job are over."""
    connections.store().database.change(lambda do: do("UPDATE jobs SET done_at = 1"))


def symbols_of(job_id: str) -> list[str]:
    job = connections.store().job(job_id)
    assert job is not None
    assert (job.name, job.tags) == ("nightly", ("schedule:nightly",))
    return list(json.loads(job.spec)["symbols"])


def test_a_due_schedule_is_one_job_however_often_it_is_asked(toml):
    assert run_due(at_ms=ms("2024-02-01 21:19")) != []  # that of the day before, which was missed
    end_all()
    (job,) = run_due(at_ms=ms("2024-02-01 21:20"))
    assert run_due(at_ms=ms("2024-02-01 21:21")) == []
    assert symbols_of(job) == ["KO", "PEP"]
    assert schedule_tasks.run_schedules.name == "marketfetch.run_schedules" == beat_schedule["marketfetch-schedules"]["task"]


def test_two_beats_are_one(toml, monkeypatch):
    """Both have seen that the run is due before either has recorded it."""
    monkeypatch.setattr(scheduling, "_goes_on", lambda _name: False)
    planned = scheduling._planned
    monkeypatch.setattr(scheduling, "_planned", lambda *args: _unknown(planned(*args)))
    first, second = run_due(at_ms=ms("2024-02-01 22:00")), run_due(at_ms=ms("2024-02-01 22:00"))
    assert first == second
    assert len(connections.store().latest_jobs()) == 1


def _unknown(one: scheduling.Planned) -> scheduling.Planned:
    return scheduling.Planned(one.schedule, one.next_ms, one.due_ms, "", one.paused_ms)


def test_of_the_runs_that_were_missed_one_is_caught_up(toml):
    assert len(run_due(at_ms=ms("2024-01-19 22:00"))) == 1
    end_all()
    assert len(run_due(at_ms=ms("2024-02-01 12:00"))) == 1
    assert run_due(at_ms=ms("2024-02-01 12:01")) == []


def test_a_run_that_still_goes_is_not_started_twice(toml):
    (first,) = run_due(at_ms=ms("2024-01-31 22:00"))
    assert run_due(at_ms=ms("2024-02-01 22:00")) == []
    end_all()
    (second,) = run_due(at_ms=ms("2024-02-01 22:05"))
    assert first != second


def test_holidays_have_no_run(toml):
    assert len(run_due(at_ms=ms("2024-01-12 22:00"))) == 1
    end_all()
    assert run_due(at_ms=ms("2024-01-15 22:00")) == []  # Martin Luther King's day
    assert len(run_due(at_ms=ms("2024-01-16 22:00"))) == 1


def test_a_half_day_has_its_run_after_its_close(toml):
    assert len(run_due(at_ms=ms("2023-11-22 21:20"))) == 1
    end_all()
    assert run_due(at_ms=ms("2023-11-24 18:19")) == []  # the day after Thanksgiving, until 13:00 in New York
    assert len(run_due(at_ms=ms("2023-11-24 18:20"))) == 1


def test_new_listings_are_picked_up_and_delisted_ones_stay_stored(toml):
    toml.write_text('[universes]\nlist = {listed = "polygon", kind = ["CS"]}\n' + NIGHTLY)
    get_settings.cache_clear()
    database = connections.store().database
    others = "listing, name, exchange, market, currency, vendor_id"
    sql = (
        f"INSERT INTO symbols (provider, symbol, status, kind, {others}, first_seen, fetched_at, ledger_id) "
        "VALUES ('polygon', ?, 'active', 'CS', '', '', '', '', '', '', 1, 1, 1)"
    )
    database.change(lambda do: [do(sql, symbol) for symbol in ("KO", "OLD")])
    (first,) = run_due(at_ms=ms("2024-01-31 22:00"))
    assert symbols_of(first) == ["KO", "OLD"]
    end_all()
    keep_days(connections.store(), "OLD", weekdays(date(2024, 1, 2), date(2024, 1, 5)))
    # The list as it is fetched the next day.
    database.change(lambda do: do("UPDATE symbols SET status = 'delisted' WHERE symbol = 'OLD'"))
    database.change(lambda do: do(sql, "NEW"))
    (second,) = run_due(at_ms=ms("2024-02-01 22:00"))
    assert symbols_of(second) == ["KO", "NEW"]
    by_hand = connections.store().job(update("polygon", ["@list"], last="2 sessions").job_id)
    assert by_hand is not None
    assert json.loads(by_hand.spec)["symbols"] == ["KO", "NEW"]
    assert database.read("SELECT count(*) FROM bars WHERE symbol = 'OLD'") == [(4,)]
    with pytest.raises(BadRequestError, match=r"There is no universe @lists. Did you mean @list\?"):
        update("polygon", ["@lists"])


def test_settings_are_read_anew_for_each_run(toml):
    toml.write_text(LIST)
    assert run_due(at_ms=ms("2024-02-01 22:00")) == []
    toml.write_text(LIST.replace('"PEP"', '"IBM"') + NIGHTLY)
    (job,) = run_due(at_ms=ms("2024-02-01 22:00"))
    assert symbols_of(job) == ["KO", "IBM"]


def test_a_paused_schedule_waits_and_goes_on(toml):
    pause("nightly")
    assert run_due(at_ms=ms("2024-02-01 22:00")) == []
    assert schedules()[0].paused_ms is not None
    run_now("nightly")
    end_all()
    resume("nightly")
    assert len(run_due(at_ms=ms("2024-02-01 22:00"))) == 1


def test_one_that_can_not_be_run_stops_no_other(toml):
    broken = NIGHTLY.replace("nightly", "broken").replace('"list"', '"gone"')
    toml.write_text(LIST + broken + NIGHTLY)
    (job,) = run_due(at_ms=ms("2024-02-01 22:00"))
    assert symbols_of(job) == ["KO", "PEP"]
    assert [one.schedule.name for one in schedules()] == ["broken", "nightly"]
    assert "The schedule broken can't be run: There is no universe @gone." in run("list").output
    said = "The schedule broken can't be run: There is no universe @gone."
    assert said in " ".join(json.loads(CliRunner().invoke(command, ["status", "--json"]).stdout)["trouble"])
    findings = json.loads(CliRunner().invoke(command, ["check", "--json"]).stdout)["findings"]
    assert [one["level"] for one in findings if one["subject"] == "schedule" and said in one["sentence"]] == ["warning"]


def test_a_run_that_failed_is_told_by_the_list_and_by_the_status(toml):
    (job,) = run_due(at_ms=ms("2024-02-01 22:00"))
    assert faults() == []
    store = connections.store()
    roots = [root for (root,) in store.database.read("SELECT root FROM job_requests")]
    rows = [LedgerRow(root, root, 0, "polygon", "KO", "failed", "KO: BadRequest: no.", calls=1) for root in roots]
    store.store([Batch(row) for row in rows])
    said = f"The latest run of the schedule nightly has {len(rows)} failed requests: `marketfetch status {job}` says why."
    assert faults() == [said]
    assert said in run("list").stderr
    assert said in CliRunner().invoke(command, ["status"]).stderr


def test_what_a_universe_lacks_is_logged_once(toml, monkeypatch):
    noted: list[str] = []
    monkeypatch.setattr(scheduling.log, "warning", lambda _event, *, schedule, note: noted.append(f"{schedule}: {note}"))
    scheduling._noted.cache_clear()
    toml.write_text(LIST.replace('"KO"', '"K€", "KO"') + NIGHTLY)
    schedules()
    schedules()
    assert len(noted) == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('when = "at noon"', "'at noon' is no time"),
        ('when = "every 15m"\nzone = "Mars/Base"', "there is no time zone 'Mars/Base'"),
        ('when = "every 15m"\ncalendar = "XNYE"', "Did you mean XNYS?"),
        ('when = "every 15m"\nuniverse = ""', "has neither a universe nor symbols"),
    ],
)
def test_a_wrong_schedule_is_a_sentence(toml, line, says):
    head = NIGHTLY.partition("when")[0]
    toml.write_text(LIST + (head.replace('universe = "list"\n', "") if "universe" in line else head) + line)
    with pytest.raises(SettingsError) as caught:
        schedules()
    assert says in str(caught.value)
    toml.write_text(LIST + NIGHTLY + NIGHTLY)
    with pytest.raises(SettingsError, match="schedules named twice: nightly"):
        schedules()


def test_check_reports_a_wrong_schedule_as_a_finding_with_the_line_of_the_value(toml):
    toml.write_text(LIST + NIGHTLY + NIGHTLY.replace("nightly", "late").replace("session close", "session closs"))
    get_settings.cache_clear()
    line = next(n for n, text in enumerate(toml.read_text().splitlines(), 1) if "closs" in text)
    done = CliRunner().invoke(command, ["check", "--json"])
    (only,) = json.loads(done.stdout)["findings"]
    assert (done.exit_code, only["level"], only["subject"]) == (1, "error", "settings")
    assert only["sentence"].startswith("schedule.1.when: 'session closs")
    assert only["sentence"].endswith(f"'cron 30 22 * * mon-fri' (in marketfetch.toml, line {line}).")
    shown = CliRunner().invoke(command, ["check"])
    assert (shown.exit_code, shown.stdout.splitlines()[-1]) == (1, "1 error, 0 warnings.")
    assert CliRunner().invoke(command, ["status"]).stderr.startswith("Error in the settings: schedule.1.when: ")
    toml.write_text(LIST)
    get_settings.cache_clear()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["schedule", *arguments])


def test_the_commands(toml, monkeypatch):
    monkeypatch.setattr(scheduling, "_now_ms", lambda: ms("2024-02-01 22:00"))
    hourly = '[[schedule]]\nname = "hourly"\nprovider = "polygon"\nsymbols = ["X:BTCUSD"]\nwhen = "every 1h"\n'
    toml.write_text(LIST + NIGHTLY + hourly)
    assert [line.split()[0] for line in run("list").stdout.splitlines()] == ["name", "nightly", "hourly"]
    assert [line.split()[0] for line in run("next").stdout.splitlines()] == ["name", "hourly", "nightly"]
    assert "next (UTC)" in run("list").stdout
    job = run("run", "nightly").stdout.strip()
    assert symbols_of(job) == ["KO", "PEP"]
    assert run("pause", "hourly").exit_code == 0
    found = {one["name"]: one for one in json.loads(run("list", "--json").stdout)["schedules"]}
    assert found["nightly"]["next"] == "2024-02-02T21:20:00+00:00"
    assert found["hourly"]["paused_since"] == "2024-02-01T22:00:00+00:00"
    assert "paused" in run("list").stdout
    assert run("resume", "hourly").exit_code == 0
    refused = run("pause", "nightli")
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert "There is no schedule 'nightli'. Did you mean nightly? There are nightly, hourly." in refused.output
    toml.write_text(LIST)
    assert "The settings have no schedule" in run("list").output
    with pytest.raises(BadRequestError, match="Add a"):
        pause("nightly")


def test_without_redis_a_look_says_what_is_not_known_and_a_pause_that_nothing_was_changed(toml, monkeypatch):
    monkeypatch.setattr(connections, "redis", lambda: Redis.from_url("redis://127.0.0.1:1", socket_connect_timeout=1))
    with pytest.raises(UnavailableError, match="what is paused is not known"):
        schedules()
    for act in (pause, resume):
        with pytest.raises(UnavailableError, match="nothing was changed"):
            act("nightly")


def test_the_list_has_the_latest_run_when_it_was_made_also_one_by_hand(toml):
    (job,) = run_due(at_ms=ms("2024-01-31 22:00"))
    end_all()
    (found,) = schedules(at_ms=ms("2024-02-01 21:30"))  # due, and beat has not asked yet
    assert (found.last_job, found.latest_job) == ("", job)
    assert found.latest_ms == connections.store().job(job).created_at_ms  # type: ignore[union-attr]
    connections.store().database.change(lambda do: do("UPDATE jobs SET created_at = 1"))
    by_hand = run_now("nightly").job_id
    (found,) = schedules(at_ms=ms("2024-02-01 21:30"))
    assert found.latest_job == by_hand != job


def test_the_list_says_why_the_next_run_would_be_refused(toml):
    toml.write_text(LIST.replace('"KO", "PEP"', '"ko", "pep"') + NIGHTLY)
    (found,) = schedules(at_ms=ms("2024-02-01 21:30"))
    assert "write KO instead of ko" in found.fault
    toml.write_text(LIST.replace('"PEP"', '"pep"') + NIGHTLY)
    assert schedules(at_ms=ms("2024-02-01 21:30"))[0].fault == ""
    assert connections.store().latest_jobs() == []


def test_check_names_each_universe_that_leaves_something_out(toml, tmp_path):
    (tmp_path / "empty.txt").write_text("# nothing\n")
    toml.write_text('[universes]\nwell = ["KO"]\ngone = "gone.txt"\nempty = "empty.txt"\nnest = ["@well", "KO"]\n')
    get_settings.cache_clear()
    found = [(one.level, one.sentence) for one in of_universes()]
    assert [level for level, _ in found] == ["warning"] * 3
    for (_, sentence), says in zip(
        found, ("gone.txt can't be read", "@empty has no symbol", "@well is a universe itself"), strict=True
    ):
        assert says in sentence
