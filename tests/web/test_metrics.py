"""The page of metrics: every number that it has is true of a real Redis and database, and the docs name each, no other."""

from __future__ import annotations

import re
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from marketfetch import connections, submit
from marketfetch.ops import counters, dead_letters, freshness_look, metrics_page, state_gauges, workers
from marketfetch.ops.measures import MEASURES, PREFIX
from marketfetch.ops.metrics_page import MetricsPage
from marketfetch.ops.staleness import Freshness, Stale
from marketfetch.quotas.limits import key_limits
from marketfetch.settings import get_settings
from marketfetch.storage.notifications import Notification, Notifications
from tasks import freshness_task
from tasks.celeryconfig import beat_schedule
from tests.waiting import eventually

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")


def numbers(text: str) -> dict[str, float]:
    """Each sample as a query names it: `requests{provider=polygon,state=parked}`."""
    found = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
            found[f"{one.name.removeprefix(PREFIX)}{{{labels}}}"] = one.value
    return found


@pytest.fixture
def scraped(client):
    def scrape() -> dict[str, float]:
        assert client.service is not None
        client.service.metrics = MetricsPage()
        found = client.get("/metrics")
        assert found.status_code == 200, found.text
        assert found.headers["content-type"] == metrics_page.MEDIA_TYPE
        return numbers(found.text)

    return scrape


def test_the_page_of_metrics_is_documented_with_type_labels_and_meaning():
    named = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| ([^|]*) \| (.+) \|$", PAGE, flags=re.MULTILINE)
    exported = [
        (
            f"{PREFIX}{one.name}{'_total' if one.kind == 'counter' else ''}",
            one.kind,
            ", ".join(f"`{label}`" for label in one.labels),
        )
        for one in MEASURES
    ]
    assert [(name, kind, labels) for name, kind, labels, _ in named] == exported
    for (*_, says), one in zip(named, MEASURES, strict=True):
        assert says.startswith(one.says), one.name


def test_every_metric_is_on_the_page_also_where_nothing_has_happened(client):
    text = client.get("/metrics").text
    shown = set(re.findall(r"^# TYPE (\S+) ", text, flags=re.MULTILINE))
    assert shown == {f"{PREFIX}{one.name}{'_total' if one.kind == 'counter' else ''}" for one in MEASURES}


def test_the_state_of_the_gate_is_shown(scraped, redis):
    submit("polygon", ["AAPL", "MSFT"], start="2024-01-02", end="2024-01-03")
    workers.beat(redis, "mf:releaser:here:1", ["polygon"])
    redis.xadd(dead_letters.KEY, {"a": "b"})
    found = scraped()
    assert found["requests{provider=polygon,state=parked}"] == 2
    assert found["gate_events_total{event=parked,provider=polygon}"] == 2
    assert 0 < found["parked_oldest_seconds{provider=polygon}"] < 600
    assert found["parked_oldest_seconds{provider=nasdaq}"] == 0
    assert found["workers{provider=polygon}"] == 1
    assert found["workers{provider=nasdaq}"] == 0
    assert found["dead_letters{}"] == 1
    assert found["database_bytes{}"] > 10_000
    assert found["up{part=redis}"] == found["up{part=database}"] == 1


def test_the_state_of_a_key_is_shown_by_its_label(scraped, monkeypatch):
    limits = key_limits("main", ["5/minute", "25/day"])
    monkeypatch.setattr(state_gauges, "keys", lambda provider: [limits] if provider == "polygon" else [])
    gate = connections.gate("polygon")
    gate.pause("main", pause_ms=60_000, why="a test")
    gate.redis.hset(f"{gate.prefix}key:main", "aside", "refused")
    found = scraped()
    assert 50 < found["key_paused_seconds{key=main,provider=polygon}"] <= 60
    assert found["key_set_aside{key=main,provider=polygon}"] == 1
    assert found["key_limit_used{key=main,limit=5/minute,provider=polygon}"] == 0
    assert found["key_limit_allowed{key=main,limit=5/minute,provider=polygon}"] == 5
    assert found["key_suspected{key=main,provider=polygon}"] == 0


def test_the_age_of_the_oldest_request_counts_whatever_its_priority(scraped, redis):
    gate = connections.gate("polygon")
    submit("polygon", ["AAPL"], start="2024-01-02", end="2024-01-03", priority=0)
    submit("polygon", ["MSFT"], start="2024-01-02", end="2024-01-03", priority=9)
    (oldest,) = redis.zrevrange(f"{gate.prefix}ready", 0, 0)
    redis.hincrby(f"{gate.prefix}req:{oldest.decode()}", "f", -3_600_000_000)
    assert 3_600 <= scraped()["parked_oldest_seconds{provider=polygon}"] < 4_200


def test_the_ledger_lag_is_the_wait_of_the_batches(scraped, redis):
    gate = connections.gate("polygon")
    now_ms = gate.now_us() // 1000
    redis.zadd(f"{gate.prefix}held", {"a": now_ms})
    redis.hset(f"{gate.prefix}counts", mapping={"bytes": 100, "stored": now_ms - 90_000})
    found = scraped()
    assert found["held_bytes{provider=polygon}"] == 100
    assert 90 <= found["ledger_lag_seconds{provider=polygon}"] < 600
    redis.delete(f"{gate.prefix}held")
    assert scraped()["ledger_lag_seconds{provider=polygon}"] == 0


def test_freshness_is_shown_once_the_task_of_beat_has_looked(scraped, redis, monkeypatch):
    assert "series_stale{provider=polygon}" not in scraped()
    assert freshness_task.look_at_freshness.name == beat_schedule["marketfetch-freshness"]["task"]
    stale = [Stale("polygon", f"S{n}", "1d", "raw", None, date(2024, 1, 2), n, False) for n in (1, 4)]
    monkeypatch.setattr(freshness_look, "freshness", lambda _store: Freshness(stale=stale))
    freshness_task.look_at_freshness()
    found = scraped()
    assert found["series_stale{provider=polygon}"] == 2
    assert found["series_behind_sessions{provider=polygon}"] == 4
    assert found["series_stale{provider=nasdaq}"] == 0
    assert 0 <= found["freshness_age_seconds{}"] < 600


def test_notifications_are_counted(scraped):
    recorded = Notifications(connections.store())
    recorded.add([Notification("e", target, "stale", "{}", 1_000) for target in ("a", "b", "c")])
    recorded.given_up(recorded.due(now_ms=2_000, limit=1)[0], at_ms=int(time.time() * 1000), error="gone")
    found = scraped()
    assert (found["notifications{state=waiting}"], found["notifications{state=given up}"]) == (2, 1)


def test_the_counters_of_every_process_are_summed(scraped):
    one, other = counters.Counters(), counters.Counters()
    for each in (one, other):
        each.add("calls", "polygon", "main", "ok")
        each.add("call_seconds", "polygon", "1")
        each.add("call_seconds", "polygon", counters.SUM, by=80_000)
        assert each.write()
    found = scraped()
    assert found["calls_total{key=main,outcome=ok,provider=polygon}"] == 2
    assert found["call_seconds_bucket{le=0.05,provider=polygon}"] == 0
    assert found["call_seconds_bucket{le=0.1,provider=polygon}"] == 2
    assert found["call_seconds_bucket{le=+Inf,provider=polygon}"] == found["call_seconds_count{provider=polygon}"] == 2
    assert found["call_seconds_sum{provider=polygon}"] == pytest.approx(0.16)


def test_a_call_is_counted_in_the_bucket_of_its_time_and_written_by_itself(scraped, client):
    counters._own._begin()  # a thread of its own: one of an earlier test may pause, since the Redis of that test is gone
    counters.call("polygon", "main", "Unavailable")
    counters.call("polygon", "main", "ok", took_ns=100_000_000, reply_bytes=2_000)
    counters.call("polygon", "main", "ok", took_ns=99_000_000_000)
    counters.stored("polygon", "stored", rows=7, rejects=2)
    eventually(lambda: scraped().get("rows_total{provider=polygon}") == 7, what="the counters are written")
    found = scraped()
    assert found["calls_total{key=main,outcome=Unavailable,provider=polygon}"] == 1
    assert found["calls_total{key=main,outcome=ok,provider=polygon}"] == 2
    assert found["call_seconds_bucket{le=0.1,provider=polygon}"] == 1
    assert found["call_seconds_bucket{le=20.0,provider=polygon}"] == 1
    assert found["call_seconds_count{provider=polygon}"] == 2
    assert found["reply_bytes_total{provider=polygon}"] == 2_000
    assert found["rejects_total{provider=polygon}"] == 2
    assert found["stored_requests_total{outcome=stored,provider=polygon}"] == 1


def test_counts_that_redis_does_not_take_are_kept_and_none_is_lost(scraped, redis, monkeypatch):
    own = counters.Counters()
    own._thread = threading.current_thread()  # no other thread writes in between
    own.add("rows", "polygon", by=3)
    redis.config_set("maxmemory", 1)
    try:
        assert not own.write()
    finally:
        redis.config_set("maxmemory", 0)
    own.add("rows", "polygon", by=4)
    assert own.write()
    assert scraped()["rows_total{provider=polygon}"] == 7


def test_an_error_that_is_not_foreseen_ends_no_thread_and_loses_no_count(scraped, monkeypatch):
    own, fails = counters.Counters(), iter([True])
    monkeypatch.setattr(counters, "_EVERY_S", 0.0)
    monkeypatch.setattr(counters, "_AGAIN_S", 0.01)
    redis = connections.redis()

    def once_wrong() -> Any:
        if threading.current_thread() is own._thread and next(fails, False):
            raise RuntimeError("no error of Redis")
        return redis

    monkeypatch.setattr(connections, "redis", once_wrong)
    own.add("rows", "polygon", by=3)
    eventually(lambda: scraped().get("rows_total{provider=polygon}") == 3, what="the counter is written the second time")
    assert next(fails, False) is False


def test_what_is_away_is_said_and_the_rest_is_shown(scraped, monkeypatch):
    def away(*_: object) -> None:
        raise OSError("away")

    monkeypatch.setattr(state_gauges, "of_redis", away)
    found = scraped()
    assert found["up{part=redis}"] == 0
    assert found["up{part=database}"] == 1
    assert found["database_bytes{}"] > 0


def test_a_look_serves_several_scrapes(client, redis):
    client.get("/metrics")
    redis.xadd(dead_letters.KEY, {"a": "b"})
    assert numbers(client.get("/metrics").text)["dead_letters{}"] == 0
    client.service.metrics._until = 0
    assert numbers(client.get("/metrics").text)["dead_letters{}"] == 1


def test_the_page_asks_for_a_token_as_every_route_does_and_has_no_key(make_client):
    client = make_client(tokens_always=True)
    client.refused(client.get("/metrics"), 401)
    secret = get_settings().provider("polygon").keys[0].secret.get_secret_value()
    assert secret == "secret"
    assert secret not in make_client().get("/metrics").text
