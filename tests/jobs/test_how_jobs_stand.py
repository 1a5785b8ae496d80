"""How jobs stand: counts, rate, time left and the next call, from a real gate and a real ledger, in one round trip."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis
from redis.client import Pipeline

import marketfetch
from marketfetch import configured, connections
from marketfetch.cli import progress
from marketfetch.cli.main import marketfetch as command
from marketfetch.jobs import job_ends
from marketfetch.ops import alerts, dead_letters, workers
from marketfetch.quotas import Gate
from marketfetch.schemas.ledger import Batch, LedgerRow
from marketfetch.schemas.table_columns import TableColumns
from marketfetch.settings import override
from marketfetch.storage.store import Job

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.fixture
def redis(redis: Redis, valkey_url: str, tmp_path: Path) -> Iterator[Redis]:
    """An empty Redis beside an empty database, as this process's settings name them; a worker releases, and admits nothing."""
    variables = {
        "MARKETFETCH_REDIS_URL": valkey_url,
        "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": "main:secret",
        "MARKETFETCH_PROVIDERS__POLYGON__LIMITS": '["5/minute"]',
        "MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path}/marketfetch.db",
        "MARKETFETCH_WHOLE_MARKET_FROM": "0",
    }
    caches = (connections._store, connections._gate, connections._redis, configured.keys)
    with override(variables):
        for cache in caches:
            cache.cache_clear()
        workers.beat(redis, workers.own_name(), ["polygon"])
        yield redis
        connections.store().close()
        connections.redis().close()
    for cache in caches:
        cache.cache_clear()


def submitted(*symbols: str) -> str:
    return marketfetch.submit("polygon", symbols, start=date(2024, 1, 2), end=date(2024, 1, 5)).job_id


def call(gate: Gate, *, most: int = 100) -> list[str]:
    """Makes the calls that the limits allow now, and keeps their batches."""
    grants = gate.admit(room=most, most_granted=100, keys=configured.keys("polygon")).grants
    for grant in grants:
        gate.start(grant.id, fence=grant.fence)
        gate.finish(grant.id, fence=grant.fence, batch=b"x")
    return [grant.id for grant in grants]


def stored(*ids: str, outcome: Any = "stored") -> None:
    """Ends requests as a store task does."""
    rows = [LedgerRow(one, one, 0, "polygon", "AAPL", outcome, rows=4, key_label="main", calls=1) for one in ids]
    connections.store().store([Batch(row) for row in rows])
    for one in ids:
        connections.gate("polygon").settle(one)


def seconds_pass(redis: Redis, seconds: int) -> None:
    """The calls were made so much earlier."""
    calls: Any = redis.zrange("mf:{polygon}:done:main", 0, -1)
    for name in calls:
        redis.zincrby("mf:{polygon}:done:main", -seconds * 1_000_000, name)


def test_the_countdown_and_the_time_left_follow_the_gate_and_move(redis: Redis) -> None:
    job = submitted(*LETTERS[:13])
    gate = connections.gate("polygon")
    before = marketfetch.status(job)
    assert before.next_call is None, "five calls are free"
    assert before.eta_seconds == pytest.approx(120, abs=2), "5 now, 5 a minute later, 3 another minute later"
    ids = call(gate)
    stored(*ids[:3])
    seconds_pass(redis, 23)
    state = marketfetch.status(job)
    assert (state.requests.stored, state.requests.running, state.requests.parked) == (3, 2, 8)
    assert state.next_call is not None
    assert (state.next_call.key, state.next_call.limit) == ("main", "5/minute")
    assert state.next_call.seconds == pytest.approx(37, abs=1)
    assert state.eta_seconds == pytest.approx(97, abs=2)
    shown = CliRunner().invoke(command, ["status", job])
    assert f"  next call in {state.next_call.seconds} s (limit 5/minute of key main)" in shown.output
    seconds_pass(redis, 30)
    later = marketfetch.status(job)
    assert later.next_call is not None
    assert later.next_call.seconds == pytest.approx(7, abs=1)
    assert later.eta_seconds == pytest.approx(67, abs=2)
    assert later.trouble == [], "a used-up limit is nothing to act on"


def test_a_job_whose_bars_lack_a_column_says_which_and_what_came_beside_it(redis: Redis) -> None:
    job = submitted("AAPL")
    (one,) = call(connections.gate("polygon"))
    row = LedgerRow(one, one, 0, "polygon", "AAPL", "stored", rows=4, key_label="main", calls=1, called_at_ms=86_400_000)
    columns = TableColumns("bars of stocks", ("o", "vol"), ("o", "v"), ("o", "v"))
    connections.store().store([Batch(row, columns=columns)])
    connections.gate("polygon").settle(one)
    told = "polygon bars of stocks: the column 'v' is gone since 1970-01-02, and 'vol' is new"
    assert marketfetch.status(job).changed_columns == [told]
    assert f"warning: {told}" in CliRunner().invoke(command, ["status", job]).output


def test_the_time_left_agrees_with_the_rate_beside_it_also_after_a_pause(redis: Redis) -> None:
    job = submitted(*LETTERS)
    connections.store().database.change(lambda execute: execute("UPDATE jobs SET created_at = created_at - 3600000"))
    stored(*call(connections.gate("polygon")))
    seconds_pass(redis, 61)
    state = marketfetch.status(job)
    left = state.requests.parked + state.requests.running
    assert (state.rate_per_minute, left) == (5.0, 21), "five in the last minute, though all of them within a second"
    assert state.eta_seconds == 252, "at the limits it would be 240"
    assert marketfetch.list_jobs()[0].eta_seconds == 252


def test_jobs_take_turns_so_a_small_one_behind_a_large_one_is_over_first(redis: Redis) -> None:
    large, small = submitted(*LETTERS[:20]), submitted("AAPL", "MSFT", "IBM", "SPY")
    same = submitted(*LETTERS[:20], "QQQ")  # shares the calls of the large one
    call(connections.gate("polygon"), most=5)
    found = {one.job_id: one for one in marketfetch.list_jobs()}
    eta = {name: found[job].eta_seconds for name, job in (("large", large), ("small", small), ("same", same))}
    assert eta["small"] == pytest.approx(60, abs=2)
    assert eta["large"] == pytest.approx(240, abs=2), "18 calls and the two of the small one are left, 5 a minute"
    assert eta["same"] == eta["large"]


def test_a_key_that_rests_is_what_the_next_call_waits_for(redis: Redis) -> None:
    job = submitted("AAPL")
    connections.gate("polygon").pause("main", pause_ms=90_000, why="paused by an operator")
    state = marketfetch.status(job)
    assert state.next_call is not None
    assert (state.next_call.limit, state.next_call.why) == ("", "paused by an operator")
    assert state.eta_seconds == pytest.approx(90, abs=2)
    connections.gate("polygon").pause("main", pause_ms=86_397_000, why="paused by an operator")
    shown = CliRunner().invoke(command, ["status", job]).output
    assert "next call in 1 d (key main rests: paused by an operator)" in shown
    assert "Calls with the key 'main' of polygon rest for 1 d more: paused by an operator" in shown
    quotas = CliRunner().invoke(command, ["quotas"]).output
    assert "in 1 d" in quotas
    assert "polygon main rests for 1 d more: paused by an operator" in quotas
    redis.flushall()
    assert marketfetch.status(job).eta_seconds is None, "no worker runs"


def test_a_hundred_jobs_are_listed_with_one_question_to_redis(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submitted(*LETTERS[:6])
    record = connections.store().job(job)
    assert record
    for n in range(99):
        connections.store().save_job(Job(f"{n:016x}", record.spec, record.created_at_ms), [f"r{n}"])
    stored(*call(connections.gate("polygon"))[:4])
    asked: list[list[str]] = []
    execute = Pipeline.execute

    def counting(pipe: Any, *more: Any, **named: Any) -> Any:
        asked.append([str(command[0][0]) for command in pipe.command_stack])
        return execute(pipe, *more, **named)

    monkeypatch.setattr(Pipeline, "execute", counting)
    monkeypatch.setattr(Redis, "execute_command", lambda *_, **__: pytest.fail("a question of its own"))
    found = marketfetch.list_jobs(100)
    assert len(found) == 100
    assert len(asked) == 1
    assert len(asked[0]) < 30, "however many jobs there are"
    assert not {"SCAN", "KEYS", "HSCAN"} & {*asked[0]}
    mine = next(one for one in found if one.job_id == job)
    assert (mine.requests.stored, mine.requests.running, mine.requests.parked) == (4, 1, 1)
    assert (mine.rate_per_minute or 0) > 0


def test_the_list_has_everything_as_json_and_failed_ones_alone(redis: Redis) -> None:
    good = submitted("AAPL")
    stored(*call(connections.gate("polygon")))
    bad = submitted("MSFT", "IBM")
    (first, _second) = call(connections.gate("polygon"))
    stored(first, outcome="failed")
    document = json.loads(CliRunner().invoke(command, ["status", "--json"]).stdout)
    by_job = {one["job"]: one for one in document["jobs"]}
    assert by_job[good]["state"] == "done"
    assert by_job[good]["ended_at"] >= by_job[good]["created_at"]
    assert by_job[bad]["requests"] == {"total": 2, "parked": 0, "running": 1, "stored": 0, "failed": 1, "cancelled": 0}
    assert (by_job[bad]["first_symbol"], by_job[bad]["symbols"], by_job[bad]["dataset"]) == ("MSFT", 2, "bars")
    failed = CliRunner().invoke(command, ["status", "--failed"])
    assert [line.split()[0] for line in failed.stdout.splitlines()] == ["job", bad]
    reasons = CliRunner().invoke(command, ["status", bad, "--failed"]).stdout.splitlines()
    assert [line.split()[0] for line in reasons] == [first]


def test_a_job_that_runs_is_listed_and_followed_however_many_newer_ones_there_are(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = submitted("MSFT")
    stored(*call(connections.gate("polygon")))
    old = submitted("AAPL")
    record = connections.store().job(over)
    assert record
    for n in range(3):  # newer, and over: they have no request
        connections.store().save_job(Job(f"{n:016x}", record.spec, record.created_at_ms + 60_000 + n), [])
    shown = CliRunner().invoke(command, ["status", "--limit", "2"]).stdout
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [
        [f"{2:016x}", "done"],
        [f"{1:016x}", "done"],
        [old, "running"],
    ]
    assert [one.job_id for one in marketfetch.list_jobs(2)] == [f"{2:016x}", f"{1:016x}"], "as many as a caller asks for"
    followed: list[str] = []

    def watched(jobs: Mapping[str, str]) -> dict[str, marketfetch.JobStatus]:
        followed.extend(jobs)
        stored(*call(connections.gate("polygon")))
        return {job: marketfetch.status(job) for job in jobs}

    monkeypatch.setattr(progress, "watched", watched)
    done = CliRunner().invoke(command, ["status", "--watch", "--limit", "1"])
    assert (done.exit_code, followed) == (0, [old])
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [[f"{2:016x}", "done"], [old, "done"]]
    assert "No job is running." in CliRunner().invoke(command, ["watch"]).stderr


def test_a_job_says_only_what_concerns_it_and_the_list_says_all(redis: Redis) -> None:
    job, other = submitted("AAPL"), submitted("MSFT")
    alerts.report(f"job {other}", f"Job {other} does not go on.")
    dead_letters.bury(list_key="fetch.polygon", reason="unreadable", raw=b"x", size=1, task="", task_id="")
    assert marketfetch.status(job).trouble == []
    assert marketfetch.status(other).trouble == [f"Job {other} does not go on."]
    shown = CliRunner().invoke(command, ["status"]).stderr
    assert "1 message could not be read" in shown
    assert f"Job {other} does not go on." in shown


def test_commands_on_a_job_that_is_over_say_so_and_what_can_be_done(redis: Redis) -> None:
    job = submitted("AAPL", "MSFT")
    run = CliRunner().invoke
    assert run(command, ["resume", job]).output == f"{job}: nothing was missing: its requests wait for their turn, or run.\n"
    first, second = call(connections.gate("polygon"))
    stored(first, outcome="empty")
    stored(second, outcome="failed")
    assert "Nothing was cancelled: every request of the job was over already." in run(command, ["cancel", job]).output
    assert "1 request (1 empty" not in run(command, ["status", job]).output
    assert "2 requests (1 empty, 1 failed)" in run(command, ["status", job]).output
    assert run(command, ["resume", job]).output.endswith(
        f"every request is over. `marketfetch retry {job}` makes its 1 failed request again.\n"
    )
    assert f"`marketfetch retry {job}` makes the failed request again." in run(command, ["status", job]).stderr
    assert run(command, ["purge", "--parked", job]).output == f"{job}: nothing of it was parked.\n"
    retried = run(command, ["retry", job])
    assert retried.stdout == f"1 failed request of {job} is to be made again.\n"
    assert retried.stderr.endswith(f"status {job}\n")
    assert run(command, ["status", job]).stderr.count("marketfetch retry") == 0, "it runs again"
    assert f"`marketfetch resume {job}` lets it go on." in run(command, ["cancel", job]).stderr
    assert f"`marketfetch resume {job}` lets it go on." in run(command, ["status", job]).stderr


def test_purging_everything_says_once_what_shared_requests_were_and_nothing_where_nothing_is(redis: Redis) -> None:
    run = CliRunner().invoke
    one, two = submitted("AAPL"), submitted("AAPL", "MSFT")
    asked = run(command, ["purge", "--parked", "all"], input="y\n")
    assert "Parked requests: 2 of polygon." in asked.stderr
    lines = asked.stdout.splitlines()
    assert sorted(lines[:2]) == sorted(
        [f"{one}: cancelled, 1 request of it withdrawn.", f"{two}: cancelled, 2 requests of it withdrawn."]
    )
    assert lines[2:] == ["Purge: cancelled 2 jobs."]
    assert "A request that several of the jobs share is counted for each." in asked.stderr
    assert run(command, ["purge", "--parked", "all"]).output == "Nothing was parked, and no job was open.\n"
    assert run(command, ["resume"]).output.startswith("No job is open, so there is nothing to resume.")


@pytest.mark.parametrize("outcome", ["stored", "failed"])
def test_a_cancelled_job_stays_so_when_another_job_completes_its_requests(redis: Redis, outcome: str) -> None:
    days: Any = {"start": date(2024, 1, 2), "end": date(2024, 1, 5)}
    mine, theirs = (marketfetch.submit("polygon", ["AAPL", "MSFT"], tags=[tag], **days).job_id for tag in ("mine", "theirs"))
    marketfetch.cancel(mine)
    first, second = call(connections.gate("polygon"))
    stored(first)
    stored(second, outcome=outcome)
    over = "done" if outcome == "stored" else "failed"
    assert {job: marketfetch.status(job).state for job in (mine, theirs)} == {mine: "cancelled", theirs: over}
    assert {one.job_id: one.state for one in marketfetch.list_jobs()} == {mine: "cancelled", theirs: over}
    assert CliRunner().invoke(command, ["status", mine]).exit_code == 1
    assert marketfetch.cancel(theirs).state == over, "a job that is over is not cancelled"
    assert connections.store().job(theirs).cancelled_at_ms is None  # type: ignore[union-attr]
    assert marketfetch.resume(mine) == 0
    assert marketfetch.status(mine).state == over


def test_resuming_a_cancelled_job_says_what_goes_on_also_where_another_job_shares_it(redis: Redis) -> None:
    submitted("AAPL", "MSFT", "IBM")
    for symbols in ((), ("QQQ",)):
        mine = submitted("AAPL", "MSFT", *symbols)
        marketfetch.cancel(mine)
        again = f"{2 + len(symbols)} cancelled requests are to be made again"
        how = ", 1 of them from now on." if symbols else ": another job waits for them already."
        assert CliRunner().invoke(command, ["resume", mine]).output == f"{mine}: {again}{how}\n"
        assert marketfetch.status(mine).requests.parked == 2 + len(symbols)
    alone = submitted("SPY")
    marketfetch.cancel(alone)
    assert CliRunner().invoke(command, ["resume", alone]).output == f"{alone}: 1 request goes on.\n"


def test_cancelling_says_what_was_cancelled_and_what_still_ends(redis: Redis) -> None:
    job = submitted(*LETTERS[:6])
    done, *_ = call(connections.gate("polygon"), most=2)
    stored(done)
    said = CliRunner().invoke(command, ["cancel", job])
    assert said.stdout == f"Cancelled: 4 requests of {job}. 1 call under way will end and is stored.\n"
    assert said.stderr == f"`marketfetch resume {job}` lets it go on.\n"


def test_a_worker_of_the_release_before_counts_as_a_worker(redis: Redis) -> None:
    job = submitted("AAPL")
    workers.stop_beating(redis, workers.own_name())
    assert any("No worker is running" in one for one in marketfetch.status(job).trouble)
    redis.set("mf:releaser:host:1", "", ex=15)
    with redis.pubsub() as wakes:
        wakes.subscribe("mf:wake")  # as its releaser does
        assert wakes.get_message(timeout=30)
        assert marketfetch.status(job).trouble == []


def test_a_look_at_a_job_without_a_worker_does_not_go_through_all_keys(redis: Redis) -> None:
    job = submitted("AAPL")
    workers.stop_beating(redis, workers.own_name())
    redis.config_resetstat()
    assert any("No worker is running" in one for one in marketfetch.status(job).trouble)
    assert "cmdstat_scan" not in redis.info("commandstats")


def test_a_heartbeat_that_has_stopped_is_no_worker(redis: Redis) -> None:
    job = submitted("AAPL")
    redis.hset("mf:releasers", workers.own_name(), f"{datetime.now(UTC).timestamp() - 1:.3f} polygon")
    redis.delete(workers.own_name())
    assert any("No worker is running" in one for one in marketfetch.status(job).trouble)


@pytest.mark.parametrize("way", ["status", "list", "callback"])
def test_a_job_that_is_cancelled_while_it_is_read_is_never_called_done(redis: Redis, way: str, monkeypatch: Any) -> None:
    job_id = submitted("AAPL")
    store = connections.recorded()
    job = store.job(job_id)
    assert job is not None
    read = store.tallies if way == "list" else store.tally

    def after_cancel(asked: Any) -> Any:
        store.cancel_job(job_id, at_ms=job.created_at_ms + 5)
        return read(asked)

    monkeypatch.setattr(store, "tallies" if way == "list" else "tally", after_cancel)
    if way == "callback":
        end = job_ends.end_of(store, job)
        assert end is not None
        assert end.outcome == "cancelled"
        return
    found = marketfetch.status(job_id) if way == "status" else marketfetch.list_jobs()[0]
    assert (found.state, found.requests.cancelled) == ("cancelled", 1)
    assert found.ended_at is not None
    assert found.created_at is not None
    assert found.ended_at > found.created_at
