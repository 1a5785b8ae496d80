"""No secret travels: after a run with failures, the keys stand nowhere but in the environment."""

from __future__ import annotations

import html
import json
import re
import zlib
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from redis import Redis

from marketfetch.sandbox.echoes import spellings
from tests.flow.conftest import SECRETS, a_place
from tests.flow.test_releaser_stops import SHORT_LEASES
from tests.waiting import eventually


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
        "events = []\n"
        "def listen():\n"
        "    with app.connection_for_read() as connection:\n"
        "        receiver = app.events.Receiver(connection, handlers={'*': events.append})\n"
        "        receiver.capture(limit=None, timeout=None)\n"
        "threading.Thread(target=listen, daemon=True).start()\n"
        "from tasks.fetch import alpha_vantage, polygon, nasdaq\n"
        "from tests.waiting import eventually\n"
        "eventually(lambda: events, what='a heartbeat: from now on nothing is missed')\n"
        "sent = [task.delay(symbol, start='2018-01-02', end='2018-01-31') for task in (alpha_vantage, polygon, nasdaq)\n"
        "        for symbol in ('AAPL', 'MSFT', 'TSLA', 'ZZZZNONE')]\n"
        "eventually(lambda: all(one.ready() for one in sent), within_s=60)\n"
        "eventually(lambda: 'task-failed' in repr(events), what='the event of a failed task')\n"
        "print(json.dumps([repr(one.result) + str(one.traceback) for one in sent] + [repr(events)]))\n"
    )
    done = place.run("-c", code, timeout=300)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert sum("Unavailable" in one for one in said) >= 2
    assert "task-failed" in said[-1]
    for provider, symbol in (("alpha_vantage", "AAPL"), ("polygon", "MSFT"), ("nasdaq", "ZZZZNONE")):
        place.fetch(provider, symbol, start="2018-01-29", end="2018-01-31")
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


#: Keys as vendors hand them out and as they are worst to find: every character that some spelling escapes, and mere letters.
ODD_KEYS = ("Zq9X+pW/7=&k%3Tmv", "a\"b'c\\d<e>f1", "KEYABCDE")
#: What the vendors repeat the key in, by the symbol that is asked for.
ECHOES = {"AAPL": "message", "NVDA": "redirect", "TSLA": "next page", "AMZN": "value"}
#: Each vendor refuses one call of each run, and serves the next one.
REFUSED = dict(zip(ODD_KEYS, ("MSFT", "ORCL", "INTC"), strict=True))
#: Its reply ends the child that reads it, so it is kept as it came.
POISON = "META"
KILLER = f"""
import os
from tasks import app
from marketfetch.vendors import reading
as_it_was = reading.read

def read(request, *args, **options):
    if request.symbol == "{POISON}":
        os.kill(os.getpid(), 9)
    return as_it_was(request, *args, **options)

reading.read = read
"""
SENT = """
import json, sys, threading
from tasks import app
events = []
def listen():
    with app.connection_for_read() as connection:
        app.events.Receiver(connection, handlers={'*': events.append}).capture(limit=None, timeout=None)
threading.Thread(target=listen, daemon=True).start()
from tasks.fetch import alpha_vantage, polygon, nasdaq
from tests.waiting import eventually
eventually(lambda: events, what='a heartbeat: from now on nothing is missed')
sent = [task.delay(symbol, start='2017-03-01', end='2017-03-31')
        for task in (alpha_vantage, polygon, nasdaq) for symbol in sys.argv[1].split(',')]
eventually(lambda: all(one.ready() for one in sent), within_s=80)
print(json.dumps([repr(one.result) + str(one.traceback) for one in sent] + [repr(events)]))
"""


def ways_to_write(key: str) -> set[bytes]:
    """The key as it may stand in a file, in a spelling that a reader of the file undoes."""
    once = {key, quote(key), quote(key, safe=""), quote_plus(key), html.escape(key), json.dumps(key)[1:-1]}
    once |= {re.sub(r"%..", lambda code: code[0].lower(), one) for one in once}
    once |= {quote(one, safe="") for one in once} | {json.dumps(one)[1:-1] for one in once} | {repr(one)[1:-1] for one in once}
    once |= {"".join(form.format(ord(one)) for one in key) for form in ("&#{};", "&#x{:x};", "\\u{:04x}", "\\\\u{:04x}")}
    for before in range(3):
        # The characters of base64 that hold bits of the key alone.
        packed = b64encode(b"\0" * before + key.encode() + b"\0\0\0").decode()
        core = packed[(0, 2, 3)[before] : (before + len(key)) * 8 // 6]
        once |= {core, core.replace("+", "-").replace("/", "_"), quote(core, safe="")}
    return {one.encode() for one in once}


def unpacked(text: bytes) -> bytes:
    """The text with what zlib has packed in it: batches and kept replies."""
    found = [text]
    for start in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", text):
        with suppress(zlib.error):
            found.append(zlib.decompressobj().decompress(text[start.start() :]))
    return b"\n".join(found)


def run_with(key: str, folder: Path, url: str) -> dict[str, bytes]:
    """Everything that is left of a run in which all three vendors repeat this key wherever they can."""
    with a_place(folder, vendors_url=url, database_url="sqlite:///marketfetch.db") as place:
        place.env |= SHORT_LEASES | {
            "MARKETFETCH_LOG__LEVEL": "debug",
            "MARKETFETCH_RETRIES__MOST": "1",
            "MARKETFETCH_TIMINGS__HELD_AGAIN": "2",
            "MARKETFETCH_TIMINGS__SWEEP": "2",
            "MARKETFETCH_PROVIDERS__POLYGON__PAGE_LIMIT": "10",
            "MARKETFETCH_PROVIDERS__NASDAQ__PAGE_LIMIT": "10",
        }
        place.env |= {f"MARKETFETCH_PROVIDERS__{name.upper()}__API_KEYS": json.dumps([f"main:{key}"]) for name in SECRETS}
        (folder / "killed.py").write_text(KILLER)
        place.celery("worker", "-c", "3", "--loglevel", "debug", "-E", log="worker.log", app="killed")
        eventually(lambda: " ready." in place.worker_log, within_s=60, what="worker ready")
        poisoned = place.marketfetch("fetch", "polygon", POISON, "--start", "2024-01-02", "--end", "2024-01-05")
        done = place.run("-c", SENT, ",".join([*ECHOES, REFUSED[key]]), timeout=300)
        assert done.returncode == 0, done.stderr
        job = poisoned.stdout.strip()
        eventually(lambda: place.status(job)["state"] != "running", within_s=60, what="the poisoned job is over")
        (reason,) = (one["reason"] for one in place.status(job)["failures"])
        kept = place.marketfetch(*reason.partition(": marketfetch ")[2].split())
        assert "Something is wrong with [secret]" in kept.stdout, reason
        said = [
            place.marketfetch(*command.split()) for command in ("status", f"status {job} --json", "quotas", "dead", "check")
        ]
        redis = place.redis()
        redis.save()
        files = {
            kind: b"".join(path.read_bytes() for path in (folder / "valkey").rglob(f"*.{kind}")) for kind in ("aof", "rdb")
        }
        return {
            "worker log": place.worker_log.encode(),
            "redis": everything_in(redis),
            "the append-only file": files["aof"],
            "the dump": files["rdb"],
            "database": b"".join(path.read_bytes() for path in folder.glob("marketfetch.db*")),
            "results, exceptions and events": done.stdout.encode() + done.stderr.encode(),
            "the ledger": repr(place.rows("SELECT * FROM ledger") + place.rows("SELECT * FROM rejects")).encode(),
            "a kept body": kept.stdout.encode() + kept.stderr.encode(),
            "commands": "".join(one.stdout + one.stderr for one in (poisoned, *said)).encode(),
        }


@pytest.fixture(scope="module")
def left(vendors, tmp_path_factory) -> dict[str, dict[str, bytes]]:
    """What is left of a run with each key; the runs mostly wait, so they go at once."""
    vendors.control.reset(keys=True)
    places = {**ECHOES, POISON: "message"}
    echo = {"kind": "echo_key", "count": 500}
    refused = {**echo, "stage": "refusal", "count": 1}
    vendors.control.faults(*({**echo, "symbol": one, "stage": place} for one, place in places.items()))
    vendors.control.faults(*({**refused, "symbol": one, "provider": name} for one in REFUSED.values() for name in SECRETS))
    with ThreadPoolExecutor(len(ODD_KEYS)) as threads:
        runs = [threads.submit(run_with, key, tmp_path_factory.mktemp("odd_key"), vendors.url) for key in ODD_KEYS]
        return {key: run.result() for key, run in zip(ODD_KEYS, runs, strict=True)}


@pytest.mark.parametrize("key", ODD_KEYS)
def test_the_search_knows_every_spelling_of_the_sandbox(key):
    for spelled in spellings(key):
        assert any(way in spelled.encode() for way in ways_to_write(key)), spelled


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_that_the_vendors_repeat_everywhere_in_every_spelling_stands_nowhere(left, key):
    for where, text in left[key].items():
        assert text, where
        whole = unpacked(text)
        for spelled in ways_to_write(key):
            at = whole.find(spelled)
            assert at < 0, (where, spelled, whole[max(0, at - 200) : at + 100])


def test_the_runs_met_every_echo(left):
    """Otherwise nothing was searched for."""
    for found in left.values():
        ledger, log = found["the ledger"].decode(), found["worker log"].decode()
        assert "the vendor redirects to " in ledger
        assert "elsewhere.test/[secret]" in ledger
        assert ledger.count("[secret]") > len(ECHOES)
        assert "key paused" in log
        assert "Polygon rejected the request for AAPL (status 400)" in log
