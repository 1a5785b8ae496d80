"""Records carry their format, whoever makes them; those of the format before are read."""

from __future__ import annotations

import re
from importlib.resources import files

from marketfetch.quotas import Parking
from marketfetch.quotas.values import Start
from tests.quotas.stepped import PLAIN
from tests.quotas.steps import admit, park

LUA = files("marketfetch.quotas") / "lua"
#: The fields that the scripts write into records, by format. A new field is a new format, with a recording of the one before:
#: docs/decisions/0008-versions-in-redis.md.
#: Format 3 is format 2 with a lane in the id.
FIELDS = {2: set("abcdfghjkmnopqrstuvwxyz")}


def record(gate, name):
    return gate.redis.hgetall(f"{gate.prefix}req:{name}")


def test_the_format_stands_in_one_place():
    texts = {path.name: path.read_text(encoding="utf-8") for path in LUA.iterdir()}
    assert [name for name, text in texts.items() if re.search(r"FORMAT\s*=", text)] == ["call.lua"]
    made = re.findall(r"'HSET', [^\n]*'s', '(?:parked|answered|expired|revoked)', 'f'.*?\n?.*?\)\n", "\n".join(texts.values()))
    assert len(made) == 5
    assert all("'r', format_for(" in one for one in made)


def test_no_script_writes_a_field_that_its_format_does_not_have():
    text = "\n".join(path.read_text(encoding="utf-8") for path in LUA.iterdir())
    text = re.sub(r",\n +", ", ", text)
    writes = re.findall(
        r"'(?:HSET|HINCRBY|HSETNX)', (?:record|page|\w*[pP]refix \.\. 'req:'|ARGV\[1\] \.\. 'req:')([^\n]*)", text
    )
    assert len(writes) > 35
    written = {name for one in writes for name in re.findall(r", '([a-z]+)', ", one)}
    # The first of several names that a condition picks.
    written |= {name for one in writes for name in re.findall(r"and '([a-z])' or '[a-z]'", one)}
    written |= {name for one in writes for name in re.findall(r"and '[a-z]' or '([a-z])'", one)}
    states = {"parked", "granted", "running", "held", "answered", "expired", "revoked"}
    assert written - states == FIELDS[PLAIN]


def test_every_record_says_its_format_however_it_was_made(gate):
    park(gate, "a")
    gate.park([Parking(id="a", arguments="{}", task="waits", message="m")], job="direct")
    gate.park([Parking(id="task:late", arguments="", task="late", message="m", expires_ms=1)], job="direct")
    gate.park([Parking(id="task:gone", arguments="", task="gone", message="m")], job="direct", not_before_ms=1 << 45)
    gate.withdraw(["task:gone"], who="task:gone")
    (one,) = [grant for grant in admit(gate).grants if grant.kind == "go"]
    gate.start("a", fence=one.fence)
    gate.finish("a", fence=one.fence, batch=b"x", next_page=Parking(id="a/1", arguments="{}"))
    made = {name: record(gate, name) for name in ("a", "a/1", "task:late", "task:gone")}
    gate.settle("a", outcome="{}")
    made["task:waits"] = record(gate, "task:waits")
    assert {name: found[b"r"] for name, found in made.items()} == dict.fromkeys(made, str(PLAIN).encode())
    states = {name: found[b"s"] for name, found in made.items()}
    assert (states["task:late"], states["task:gone"], states["task:waits"]) == (b"expired", b"revoked", b"answered")


def test_a_parked_request_of_a_job_has_no_more_than_seven_fields(gate):
    """With the eighth a hash that is no listpack grows by a bucket: 150 bytes for each of a million requests."""
    park(gate, "a")
    assert len(record(gate, "a")) == 7


def test_attempts_are_counted_from_none(gate):
    park(gate, "a")
    for attempts in (0, 1, 2):
        (one,) = admit(gate).grants
        assert (one.attempts, gate.start("a", fence=one.fence).attempts) == (attempts, attempts)
        gate.delay("a", fence=one.fence, delay_ms=-1)


def test_a_record_without_a_format_is_of_the_first_one_and_runs(gate):
    park(gate, "a", "b")
    for name, attempts in (("a", 0), ("b", 3)):
        gate.redis.hdel(f"{gate.prefix}req:{name}", "r")
        gate.redis.hset(f"{gate.prefix}req:{name}", "a", attempts)
    for one in admit(gate).grants:
        assert gate.start(one.id, fence=one.fence) == Start("go", "main", {"a": 0, "b": 3}[one.id], 1)
