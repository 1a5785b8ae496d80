"""Every script's header, what it uses, what the gate passes it, and what the architecture page says of its keys are one."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis import Redis
from redis.crc import key_slot

from marketfetch.quotas import Gate, Grant, Parking, key_limits
from marketfetch.quotas.scripts import PARTS
from marketfetch.quotas.values import KeyHistory, StoreTurn, VendorCount

ROOT = Path(__file__).parents[2]
LUA = ROOT / "marketfetch" / "quotas" / "lua"
LATER_PARTS = {part for parts in PARTS.values() for part in parts[1:]}
SCRIPTS = sorted(path.stem for path in LUA.glob("*.lua") if path.stem not in {"call", *LATER_PARTS})
KEY = key_limits("x", ["5/minute", "3/second", "25/day@UTC", "9/hour;pool"], concurrency=4)
FREE = key_limits("y", [])
PAGE = Parking(id="a/1", arguments="{}")

#: How each script is reached, and an answer that the gate can read.
STEPS: dict[str, list[Any]] = {
    "park": [lambda gate: gate.park([PAGE, PAGE], job="J"), 2],
    "admit": [lambda gate: gate.admit(room=1, most_granted=1, keys=(KEY,)), [b"ok", -1, 0]],
    "start": [lambda gate: gate.start("a", fence=1), [b"go", b"x", 0, 1, b"", 0, 0]],
    "finish": [
        lambda gate: gate.finish("a", fence=1, batch=b"x", next_page=PAGE, counted=VendorCount(1, 1_000, strict=True)),
        1,
    ],
    "requeue": [lambda gate: gate.suspect("a", fence=1, key_label="x", why="no", others=("y", "z")), 1],
    "return_grants": [lambda gate: gate.return_grants([Grant("a", 1, "x", 0, ""), Grant("b", 2, "x", 0, "")]), 1],
    "raised": [lambda gate: gate.raised("a", fence=1, reason="why"), [b"again", 1, b""]],
    "delay": [lambda gate: gate.delay("a", fence=1, delay_ms=1), 1],
    "claim": [lambda gate: gate.claim(["a", "b"], busy_ms=1), [[b"x", 1], [b"", 0]]],
    "release_claims": [lambda gate: gate.release_claims(["a", "b"]), 2],
    "keep_raw": [lambda gate: gate.keep_raw("a", b"x"), 1],
    "postpone": [lambda gate: gate.postpone("a", delay_ms=1, most_ms=1), 1],
    "pause": [lambda gate: gate.pause("x", pause_ms=1, why="why"), 1],
    "settle": [lambda gate: gate.settle_together({"a": "", "b": ""}, turn=StoreTurn("c", 1, 2, 3, 4)), [[1, 1], []]],
    "withdraw": [lambda gate: gate.withdraw(["a", "b"], who="J"), [[b"gone", b""]]],
    "knows": [lambda gate: gate.knows(["a", "b"]), 1],
    "restore": [
        lambda gate: gate.restore(old="", new="1", histories=[KeyHistory("x", used=True, lost=1, days={})], late_ms=1),
        b"1",
    ],
}
#: After the arguments that have a number come these many more for each of several.
OPEN_ENDED = {
    "park": 5,
    "withdraw": 1,
    "return_grants": 2,
    "requeue": 1,
    "claim": 1,
    "release_claims": 1,
    "knows": 1,
    "settle": 2,
}


def own_text(name: str) -> str:
    """The text of a script without call.lua."""
    return "\n".join((LUA / f"{part}.lua").read_text(encoding="utf-8") for part in PARTS.get(name, (name,)))


class Header:
    """The comment on top of a script: `-- KEYS  1 name ...`, `-- ARGV  1 what ...`, `-- Returns ...`."""

    def __init__(self, name: str) -> None:
        self.text = own_text(name)
        comment, _, self.code = re.split(r"(^(?!--).*\n)", self.text, maxsplit=1, flags=re.MULTILINE)
        self.explains = bool(comment.partition("\n")[0].strip("- "))
        self.returns = "\n-- Returns" in comment
        keys, _, arguments = comment.partition("-- KEYS")[2].partition("-- ARGV")
        self.keys = [word for _, word in numbered(keys)]
        self.arguments = [word for _, word in numbered(arguments.partition("-- Returns")[0])]

    def rest(self) -> int:
        """From which number on ARGV is walked through to its end."""
        (first,) = re.findall(r"for i = (\d+), #ARGV", self.code)
        return int(first)

    def uses(self, table: str) -> set[int]:
        """The numbers of KEYS or ARGV that the code names, one by one or in a loop."""
        code = re.sub(r"--.*", "", self.code)
        found = {int(one) for one in re.findall(rf"\b{table}\[(\d+)\]", code)}
        for first, last in re.findall(rf"for i = (\d+), (\d+) do(?:(?!\nend).)*?\b{table}\[i\]", code, flags=re.DOTALL):
            found |= set(range(int(first), int(last) + 1))
        return found


def numbered(text: str) -> list[tuple[int, str]]:
    """1 this, 2 that, ...: each number in turn with the word behind it; other numbers in between are none of them."""
    found: list[tuple[int, str]] = []
    at = 0
    for number in count(1):
        one = re.compile(rf"(?<![\w^.*]){number}\s+(\S+)").search(text, at)
        if one is None:
            return found
        found.append((number, one[1]))
        at = one.end(0)
    raise AssertionError


class Recorder:
    """A client that keeps what is passed to each script instead of running it."""

    def __init__(self) -> None:
        self.passed: dict[str, SimpleNamespace] = {}
        self.answer: Any = None

    def register_script(self, text: str) -> Any:
        name = next(one for one in SCRIPTS if text.endswith(own_text(one)))
        assert text.startswith((LUA / "call.lua").read_text(encoding="utf-8"))

        def run(*, keys: list[str], args: list[Any]) -> Any:
            self.passed[name] = SimpleNamespace(keys=keys, args=args)
            return self.answer

        return run

    def publish(self, *_: Any) -> None:
        """A wake is no script."""


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_header_names_what_the_script_uses_and_nothing_else(name):
    header = Header(name)
    assert header.explains
    assert header.returns
    keys = set(range(1, len(header.keys) + 1))
    assert header.uses("KEYS") <= keys
    # A key may be touched by what stands in call.lua, by its name.
    by_name = {number for number in keys if f"prefix .. '{header.keys[number - 1]}'" in Header("call").text}
    assert keys - header.uses("KEYS") <= by_name
    numbers = set(range(1, len(header.arguments) + 1))
    if name in OPEN_ENDED:
        numbers -= {header.rest()}
    assert header.uses("ARGV") == numbers


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_gate_passes_what_the_header_names(name):
    client, header = Recorder(), Header(name)
    step, client.answer = STEPS[name]
    step(Gate(client, pool="p"))  # type: ignore[arg-type]
    passed = client.passed[name]
    assert passed.keys == [f"mf:{{p}}:{one}" for one in header.keys]
    if "prefix" in header.arguments[0]:
        assert passed.args[0] == "mf:{p}:"
    if name in OPEN_ENDED:
        fixed = header.rest() - 1
        assert len(passed.args) == fixed + 2 * OPEN_ENDED[name]
    else:
        assert len(passed.args) == len(header.arguments)


def test_every_script_is_a_method_of_the_gate_and_the_other_way_round():
    assert sorted(STEPS) == SCRIPTS
    files = [ROOT / "marketfetch" / "quotas" / name for name in ("gate.py", "key_state.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    assert sorted(set(re.findall(r"self\._scripts\.(\w+)\(", code))) == SCRIPTS


def test_only_one_function_reads_the_clock():
    texts = {path.name: path.read_text(encoding="utf-8") for path in LUA.glob("*.lua")}
    assert {name: text.count("'TIME'") for name, text in texts.items() if "'TIME'" in text} == {"call.lua": 1}


# --- keys -------------------------------------------------------------------------------------------------------------


def documented() -> list[tuple[re.Pattern[str], str]]:
    """The architecture page's table: a pattern for each key, and what ends it."""
    table = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").partition("| key |")[2].partition("\n\n")[0]
    found = []
    for line in table.splitlines()[2:]:
        names, _, ends = (part.strip() for part in line.strip("|").split(" | "))
        for name in re.findall(r"`([^`]+)`", names):
            whole = name if name.startswith("mf:") else f"mf:{{pool}}:{name}"
            pattern = re.sub(r"<[^>]+>", "\0", whole.replace("{pool}", "{p}"))
            found.append((re.compile(re.escape(pattern).replace("\0", ".+")), ends))
    return found


def everything(redis: Redis) -> dict[str, int]:
    """Each key that a gate makes in a life with everything in it -> its TTL in s when it was last seen, -1 for none."""
    gate, seen = Gate(redis, pool="p"), {}

    def look() -> None:
        for name in redis.scan_iter(count=1000):
            seen[name.decode()] = int(redis.ttl(name))

    def started() -> list[Any]:
        grants = [one for one in gate.admit(room=9, most_granted=99, keys=(KEY,)).grants if one.kind == "go"]
        look()
        for one in grants:
            assert gate.start(one.id, fence=one.fence).verdict == "go"
            look()
        return grants

    gate.restore(old="", new="run:1", histories=[KeyHistory("x", used=False, lost=0, days={})], late_ms=1)
    gate.park([Parking(id="a", arguments="{}")], job="J")
    gate.park([Parking(id="a", arguments="{}", task="t1", message="m1")], job="direct")
    gate.park([Parking(id="task:t2", arguments="", task="t2", message="m2", expires_ms=1)], job="direct")
    gate.park([Parking(id="task:t3", arguments="", task="t3", message="m3")], job="direct", not_before_ms=1 << 45)
    look()
    (one,) = started()
    gate.requeue(one.id, fence=one.fence, key_label="x", then="grow", pause_ms=1, why="refused")
    gate.resume("x")
    gate.admit(room=9, most_granted=99, keys=(KEY,), start_by_ms=-1)  # expired at once
    (late,) = (one for one in gate.admit(room=9, most_granted=99, keys=(KEY,)).grants if one.kind == "go")
    look()
    gate.raised(late.id, fence=late.fence, reason="why")
    redis.set(f"{gate.prefix}buried:{late.id}", "1-1", ex=86_400)  # beside its dead letter: marketfetch/ops/dead_letters.py
    look()
    redis.zadd("mf:{p}:delayed", {late.id: 0})
    gate.resume("x")
    (one,) = started()
    gate.delay(one.id, fence=one.fence, delay_ms=-1)
    look()
    gate.pause("x", pause_ms=1, why="why")
    gate.resume("x")
    (one,) = started()
    gate.finish(
        one.id, fence=one.fence, batch=b"x", next_page=PAGE, chain=b"x",
        counted=VendorCount(20, counter="day:x:UTC:2099-01-01"),
        turn=StoreTurn("a", lasts_ms=2_000, busy_ms=1, most=1, most_bytes=1),
    )  # fmt: skip
    look()
    gate.claim(["a"], busy_ms=1)
    gate.keep_raw("a", b"x")
    look()
    gate.release_claims(["a"])
    gate.postpone("a", delay_ms=1, most_ms=1)
    look()
    gate.settle("a", outcome="{}")
    look()
    gate.park([Parking(id="b", arguments="{}")], job="J")
    redis.hset("mf:{p}:req:b", "r", 99)
    gate.admit(room=9, most_granted=99, keys=(FREE,))
    look()
    gate.settle("b")
    gate.withdraw(["a/1"], who="J")
    gate.restore(
        old="run:1", new="run:2", histories=[KeyHistory("x", used=True, lost=1, days={"day:x:UTC:2099-01-02": 3})], late_ms=1
    )
    look()
    gate.park([Parking(id="0123456789abcdef~c", arguments="{}")], job="J")
    look()
    gate.admit(room=9, most_granted=99, keys=(replace(FREE, lanes=("", "0123456789abcdef"), secret_print="p"),))
    look()
    gate.park([Parking(id="d", arguments="{}"), Parking(id="e", arguments="{}")], job="J")
    for _ in range(2):
        gate.admit(room=1, most_granted=99, keys=tuple(key_limits(f"k{n}", ["1/hour"]) for n in range(gate.many_keys)))
    look()
    return seen


def test_every_key_of_a_gate_stands_in_the_architecture_page_with_what_ends_it(redis):
    table, met = documented(), set()
    for name, ttl in everything(redis).items():
        rows = [(pattern, ends) for pattern, ends in table if pattern.fullmatch(name)]
        assert rows, f"{name} is not in docs/architecture.md"
        assert all(ends for _, ends in rows), f"docs/architecture.md does not say what ends {name}"
        met |= {pattern.pattern for pattern, _ in rows}
        timed = [ends for _, ends in rows if re.match(r"(\d+ (days|s)|a day)\b", ends)]
        if timed:
            number, unit = timed[0].split()[:2]
            longest = (1 if number == "a" else int(number)) * {"days": 86_400, "day": 86_400, "s": 1}[unit]
            assert 0 < ttl <= longest, f"{name} lives {ttl} s, the page says {timed[0]}"
        else:
            assert ttl == -1, f"{name} ends by itself after {ttl} s, and the page does not say so"
    of_gates = {pattern.pattern for pattern, _ in table if pattern.pattern.startswith(re.escape("mf:{p}:"))}
    assert of_gates <= met, "the page names keys that no gate makes"


def test_all_keys_of_a_gate_are_in_one_slot(redis):
    assert len({key_slot(name.encode()) for name in everything(redis)}) == 1


def test_every_other_key_named_in_the_code_stands_in_the_architecture_page():
    patterns = [pattern.pattern.replace("\\", "") for pattern, _ in documented()]
    for path in (*(ROOT / "tasks").rglob("*.py"), *(ROOT / "marketfetch").rglob("*.py")):
        for name in re.findall(r'= f?"(mf:[^"{]+)"', path.read_text(encoding="utf-8")):
            if name != "mf:wake":  # a channel
                assert any(pattern.startswith(name) for pattern in patterns), (path.name, name)
