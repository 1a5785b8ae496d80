"""No secret travels: after a run with failures, the keys stand nowhere but in the environment."""

from __future__ import annotations

import json

from redis import Redis

from tests.flow.conftest import SECRETS


def everything_in(redis: Redis) -> bytes:
    """Every key and value of every database of this server, and its script cache's answer to a dump of nothing else."""
    found = []
    for key in redis.scan_iter(count=1000):
        found += [key, redis.dump(key) or b""]
        kind = redis.type(key)
        if kind == b"string":
            found.append(redis.get(key) or b"")
        elif kind == b"hash":
            found += [part for pair in redis.hgetall(key).items() for part in pair]
        elif kind == b"list":
            found += redis.lrange(key, 0, -1)
        elif kind == b"zset":
            found += redis.zrange(key, 0, -1)
        elif kind == b"set":
            found += list(redis.smembers(key))
    return b"\n".join(found)


def test_keys_are_in_no_log_no_redis_no_result_no_database_no_event_and_no_exception(place, sandbox):
    place.env["MARKETFETCH_LOG__LEVEL"] = "debug"
    place.env["MARKETFETCH_RETRIES__MOST"] = "1"
    sandbox.faults(kind="reset", symbol="AAPL", count=50)
    sandbox.faults(kind="html", symbol="MSFT", count=50)
    sandbox.faults(kind="429", symbol="TSLA", count=1, retry_after=1)
    place.worker("--loglevel", "debug", "-E")
    code = (
        "import json, threading\n"
        "from tasks import app\n"
        "events, ready = [], threading.Event()\n"
        "def listen():\n"
        "    with app.connection_for_read() as connection:\n"
        "        receiver = app.events.Receiver(connection, handlers={'*': events.append})\n"
        "        ready.set()\n"
        "        try: receiver.capture(limit=None, timeout=25)\n"
        "        except Exception: pass\n"
        "threading.Thread(target=listen, daemon=True).start(); ready.wait(5)\n"
        "from tasks.fetch import alpha_vantage, polygon, nasdaq\n"
        "from tests.waiting import eventually\n"
        "sent = [task.delay(symbol, start='2024-01-02', end='2024-01-31') for task in (alpha_vantage, polygon, nasdaq)\n"
        "        for symbol in ('AAPL', 'MSFT', 'TSLA', 'ZZZZNONE')]\n"
        "eventually(lambda: all(one.ready() for one in sent), within_s=60)\n"
        "print(json.dumps([repr(one.result) + str(one.traceback) for one in sent] + [repr(events)]))\n"
    )
    done = place.run("-c", code, timeout=120)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert sum("Unavailable" in one for one in said) >= 2
    assert "task-failed" in said[-1]
    for provider, symbol in (("alpha_vantage", "AAPL"), ("polygon", "MSFT"), ("nasdaq", "ZZZZNONE")):
        place.fetch(provider, symbol, start="2024-01-29", end="2024-01-31")
    database = b"".join(path.read_bytes() for path in place.folder.glob("marketfetch.db*"))
    haystack = {
        "worker log": place.worker_log.encode(),
        "redis": everything_in(place.redis()),
        "the append-only file": b"".join(path.read_bytes() for path in (place.folder / "valkey").rglob("*.aof")),
        "database": database,
        "results, exceptions and events": done.stdout.encode() + done.stderr.encode(),
    }
    for where, text in haystack.items():
        assert text, where
        for secret in SECRETS.values():
            assert secret.encode() not in text, where
