"""What a release leaves behind when it stops in the middle of a job: recorded by that release, taken over by the next one.

`python -m tests.flow.recorded_gate` fetches from the sandbox with this code, kills its worker, and writes what stands in Redis
and in the database then to tests/recordings/gate/format_<n>.json.gz: 1,000 requests parked, 4 granted with their messages in
the broker, 10 running whose worker is dead, 10 held; a dead message, and the results of two tasks that failed. `load` puts such
a recording into another Redis, `load_database` into another SQLite file, as if that had happened a moment ago. (The recording
of format 1 has neither database nor results.)
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import signal
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from redis import Redis

from marketfetch.local.sandbox_process import start_sandbox
from tests.flow.conftest import ROOT, SECRETS, Place, a_place
from tests.waiting import eventually

FOLDER: Final = Path(__file__).parents[1] / "recordings" / "gate"
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: What the recorded job asks for: its ids are made of this, and are to be the same in every release.
SYMBOLS: Final = tuple(f"{a}{b}{c}" for a in "MN" for b in LETTERS for c in LETTERS)[:1024]
ASKED: Final = ("--start", "2024-01-02", "--end", "2024-01-05", "--adjustment", "raw")
HELD, RUNNING, GRANTED, PARKED = SYMBOLS[:10], SYMBOLS[10:20], SYMBOLS[20:24], SYMBOLS[24:]

#: No vendor knows it: a task that asks for it fails.
UNKNOWN: Final = "ZZZZ"
#: Two tasks that fail, each in another place: one was called in vain, one can't be planned.
FAILING: Final = f"""
import json
from tasks.fetch import alpha_vantage, polygon
sent = [alpha_vantage.delay({UNKNOWN!r}, start="2024-01-02", end="2024-01-05"), polygon.delay("AAPL", timespam="1d")]
for one in sent:
    one.get(propagate=False, timeout=300)
print(json.dumps([one.id for one in sent]))
"""
DEAD: Final = b"this is no json"
DATABASE: Final = "marketfetch.db"

_GATE: Final = "mf:{polygon}:"
_BROKER: Final = ("fetch.polygon", "store", "unacked", "unacked_index")
#: A name of the machine, and signs of life of what is dead.
_LEFT_OUT: Final = ("mf:releaser:", "mf:sweeping", "mf:metrics")
#: What is a moment, by the key's first word: scores, and fields of hashes; with how many us its unit has.
_SCORES: Final = {
    "granted": 1000,
    "running": 1000,
    "held": 1000,
    "delayed": 1000,
    "done": 1,
    "early": 1,
    "unacked_index": 10**6,
}
_FIELDS: Final = {
    "req": {"b": 1, "x": 1000},
    "key": {"until": 1000, "struck": 1, "full": 1},
    "counts": {"fine": 1000, "away": 1000},
}
_RESULT: Final = "celery-task-meta-"
_READ: Final[dict[str, Callable[[Any, str], Any]]] = {
    "string": lambda redis, name: redis.get(name),
    "hash": lambda redis, name: redis.hgetall(name),
    "list": lambda redis, name: redis.lrange(name, 0, -1),
    "set": lambda redis, name: sorted(redis.smembers(name)),
    "zset": lambda redis, name: redis.zrange(name, 0, -1, withscores=True),
    "stream": lambda redis, name: redis.xrange(name),
}
#: Leases that the next release need not wait for long; the call of a request lasts until its worker is killed.
_TIMINGS: Final = {"CALL": "5", "END_BY": "6", "START_BY": "5"}


# --- recording --------------------------------------------------------------------------------------------------------


def record() -> Path:
    """Makes the recording with the code as it is; where it is."""
    with (
        tempfile.TemporaryDirectory() as name,
        start_sandbox(seed=7) as vendors,
        a_place(Path(name), vendors_url=vendors.url, database_url=f"sqlite:///{DATABASE}") as place,
    ):
        failed = failures(place)
        vendors.control.faults(*({"kind": "hang", "provider": "polygon", "symbol": one} for one in RUNNING))
        stopped_in_the_middle(place)
        found = {**dump(place.redis()), "failed": failed, "database": dumped_database(place.folder / DATABASE)}
        text = json.dumps(found, indent=0)
        for folder in (str(ROOT), sys.prefix, sys.base_prefix):  # in the traceback of a task that failed
            text = text.replace(folder, "/recorded")
        nothing_of_this_machine(text, str(place.folder), *SECRETS.values(), socket.gethostname(), str(Path.home()))
    path = FOLDER / f"format_{found['format']}.json.gz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    return path


def failures(place: Place) -> list[str]:
    """Two tasks fail and a message is set aside; the ids of the tasks. Nothing of them is left in the gate."""
    worker = place.worker()
    done = place.run("-c", FAILING)
    assert done.returncode == 0, done.stderr
    redis = place.redis()
    redis.lpush("fetch.polygon", DEAD)
    eventually(lambda: redis.xlen("mf:dead") == 1, what="the message is set aside")
    eventually(lambda: not redis.keys("mf:{*}:req:*"), what="the failure is in the ledger")
    worker.send_signal(signal.SIGTERM)
    worker.wait(300)
    found: list[str] = json.loads(done.stdout)
    return found


def stopped_in_the_middle(place: Place) -> None:
    """A worker that only fetches, and may make so many calls an hour, dies in its last ones."""
    place.env |= {f"MARKETFETCH_TIMINGS__{name}": value for name, value in _TIMINGS.items()}
    place.env["MARKETFETCH_PROVIDERS__POLYGON__LIMITS"] = json.dumps([f"{len(SYMBOLS) - len(PARKED)}/hour"])
    done = place.marketfetch("fetch", "polygon", *SYMBOLS, *ASKED)
    assert done.returncode == 0, done.stderr
    worker = place.worker("-Q", "fetch.polygon", concurrency=len(RUNNING))
    wanted = {"ready": len(PARKED), "granted": len(GRANTED), "running": len(RUNNING), "held": len(HELD)}
    redis = place.redis()
    eventually(lambda: {name: redis.zcard(_GATE + name) for name in wanted} == wanted, what=f"{wanted}")
    eventually(lambda: redis.llen("store") == len(HELD), what="every batch waits to be stored")
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def dump(redis: Redis) -> dict[str, Any]:
    """Every key of the gate and of the broker with its type, value and TTL in ms. Bytes are Latin-1: each is one sign."""
    keys = {}
    for name in sorted(
        {*(one.decode() for mine in ("mf:*", f"{_RESULT}*") for one in redis.scan_iter(mine, count=1000)), *_BROKER}
    ):
        kind = str(redis.type(name), "ascii")  # type: ignore[arg-type]  # never text: no client of ours decodes
        if kind != "none" and not name.startswith(_LEFT_OUT):
            keys[name] = {"type": kind, "value": _text(_READ[kind](redis, name)), "ttl": redis.pttl(name)}
    records = [one["value"] for name, one in keys.items() if name.startswith(f"{_GATE}req:")]
    return {
        "format": max(int(one.get("r", 1)) for one in records),
        "recorded_at_us": now_us(redis),
        "job": records[0]["j"],
        "keys": keys,
    }


def dumped_database(path: Path) -> str:
    """The whole SQLite database as SQL."""
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump())


def _text(value: Any) -> Any:
    """The same in JSON. Who published a message is the one word in it about the machine."""
    if isinstance(value, bytes):
        return re.sub(r'("origin": ")[^"]*', r"\1gen1@recorded", value.decode("latin-1"))
    if isinstance(value, dict):
        return {_text(name): _text(one) for name, one in value.items()}
    return [_text(one) for one in value] if isinstance(value, (list, tuple)) else value


def nothing_of_this_machine(text: str, *words: str) -> None:
    """Also where it is packed: the bodies of messages."""
    bodies = [base64.b64decode(one).decode() for one in re.findall(r'\\"body\\": \\"([^"\\]+)', text)]
    assert bodies
    for word in words:
        assert not any(word in one for one in (text, *bodies)), f"{word} would be in the recording"


# --- taking over ------------------------------------------------------------------------------------------------------


def recorded(number: int) -> dict[str, Any]:
    """The recording that a release of this format has made."""
    found: dict[str, Any] = json.loads(gzip.decompress((FOLDER / f"format_{number}.json.gz").read_bytes()))
    return found


def cut(recording: dict[str, Any], symbols: tuple[str, ...]) -> dict[str, Any]:
    """The recording as if its job had asked for these symbols alone; the others are all parked."""
    keys = dict(recording["keys"])
    requests = {name: json.loads(one["value"]["q"])["symbol"] for name, one in keys.items() if name.startswith(f"{_GATE}req:")}
    gone = {name.rpartition(":")[2] for name, symbol in requests.items() if symbol not in symbols}
    for one in gone:
        del keys[f"{_GATE}req:{one}"]
    ready, counts, tags = (keys[_GATE + name] for name in ("ready", "counts", "tags"))
    waiting = [one for one in ready["value"] if one[0] not in gone]
    assert len(ready["value"]) - len(waiting) == len(gone), "one that is not parked would be left out"
    keys[f"{_GATE}ready"] = ready | {"value": waiting}
    keys[f"{_GATE}counts"] = counts | {"value": _less(counts["value"], "parked", len(gone))}
    (lane,) = (name for name in tags["value"] if name.startswith("N:"))
    keys[f"{_GATE}tags"] = tags | {"value": _less(tags["value"], lane, len(gone))}
    return recording | {"keys": keys}


def _less(counted: dict[str, str], name: str, gone: int) -> dict[str, str]:
    return counted | {name: str(int(counted[name]) - gone)}


def load(recording: dict[str, Any], redis: Redis, *, job: str) -> None:
    """Puts it in place of all that this Redis holds, every moment in it moved to now: the release has just stopped.

    `job`: the id that the job has here, as the day it was asked for is in it. A fence is no moment, though it begins as one:
    messages in the broker hold it too.
    """
    passed_us = now_us(redis) - recording["recorded_at_us"]
    keys = json.loads(json.dumps(recording["keys"]).replace(recording["job"], job))
    redis.flushall()
    with redis.pipeline() as pipe:
        for name, one in keys.items():
            word = re.sub(r"^mf:\{\w+\}:", "", name).partition(":")[0]
            _put(pipe, name, one["type"], _moved(word, one["value"], passed_us))
            if one["ttl"] > 0:
                pipe.pexpire(name, one["ttl"])
        pipe.execute()
    # As if this were the very server that the release had used: its past is known.
    for name in (one for one in keys if one.endswith(":epoch")):
        _, _, epoch = keys[name]["value"].partition(":")
        redis.set(name, f"{redis.info('server')['run_id']}:{epoch}")


def load_database(recording: dict[str, Any], path: Path) -> None:
    """Makes the SQLite file as the release left it. No moment in it is moved: none of them decides what is to do."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(recording["database"])
        database.execute("PRAGMA journal_mode=WAL")


def _moved(word: str, value: Any, passed_us: int) -> Any:
    """The same later. `word`: the first one of the key."""
    if word in _SCORES:
        return [[member, score + passed_us // _SCORES[word]] for member, score in value]
    moments = {one: us for one, us in _FIELDS.get(word, {}).items() if value.get(one, "0") != "0"}
    return value | {one: str(int(value[one]) + passed_us // us) for one, us in moments.items()} if moments else value


def _put(pipe: Any, name: str, kind: str, value: Any) -> None:
    if kind == "string":
        pipe.set(name, value.encode("latin-1"))
    elif kind == "hash":
        pipe.hset(name, mapping={field: text.encode("latin-1") for field, text in value.items()})
    elif kind == "stream":
        for number, fields in value:
            pipe.xadd(name, {field: text.encode("latin-1") for field, text in fields.items()}, id=number)
    elif kind == "zset":
        pipe.zadd(name, {member.encode("latin-1"): score for member, score in value})
    else:
        (pipe.rpush if kind == "list" else pipe.sadd)(name, *(one.encode("latin-1") for one in value))


def now_us(redis: Redis) -> int:
    seconds, micros = redis.time()
    return int(seconds) * 1_000_000 + int(micros)


if __name__ == "__main__":
    path = record()
    print(path.name, path.stat().st_size, "bytes")
