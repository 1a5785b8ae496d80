"""What is true after each step of the state machine: Lua and model agree, the table's promises hold, no limit is passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from marketfetch.quotas.limits import KeyLimits
from marketfetch.quotas.values import Counts
from tests.quotas.model import Model
from tests.quotas.stepped import DAY, FORMAT, Snapshot


def both_keep_the_same_books(model: Model, found: Snapshot, labels: Sequence[str]) -> None:
    """Places, records, batches, tags, stamps and counters in Redis are those of the model."""
    records = model.records
    assert {name: scores for name, scores in found.places.items() if scores} == {
        place: {
            one.id: {"ready": one.priority * 2**48 + one.tag, "newer": FORMAT + 1}.get(place, one.at_ms)
            for one in model.at(place)
        }
        for place in ("ready", "delayed", "newer", "granted", "running", "held")
        if model.at(place)
    }  # fmt: skip
    assert {id: of_redis(one) for id, one in found.records.items()} == {id: of_the_model(one) for id, one in records.items()}  # noqa: A001
    assert found.batches == {one.id: one.batch for one in records.values() if one.batch}
    assert found.tasks == model.tasks
    assert found.turn == model.turn
    assert (found.unstarted, found.raised) == (model.unstarted, model.raised_times)
    turns = Counter((one.priority, one.job) for one in model.at("ready"))
    assert found.tags == {
        **{f"V:{band}": tag for band, tag in model.virtual.items()},
        **{f"N:{band}:{job}": many for (band, job), many in turns.items()},
        **{f"L:{band}:{job}": tag for (band, job), tag in model.last.items()},
    }
    young = model.now - 86_400_000_000
    for label in labels:
        ours = [one for one in model.calls if one.done is not None and label in ("*", one.label)]
        for name, stamps in (("done", [one.done for one in ours]), ("early", [one.early for one in ours])):
            stamped = found.stamps.get(f"{name}:{label}", [])
            assert [one for one in stamped if one > young] == sorted(one for one in stamps if one and one > young)
        state, kept = model.key(label), found.keys.get(label, {})
        verdicts = [int(kept.get(name, 0)) for name in ("suspect", "unknown", "sentences")]
        assert [*verdicts, "aside" in kept] == [state.suspect, state.unknown, state.sentences, bool(state.aside)]
    counts = {name: found.counts.get(name, 0) for name in model.events}
    assert counts == model.events
    assert found.counts.get("bytes", 0) == model.unstored_bytes()
    assert ("away" in found.counts, found.counts.get("full")) == (model.away, model.full)


def every_promise_of_the_table_holds(found: Snapshot, counts: Counts, labels: Collection[str]) -> None:
    """Each record is in one place and says where; what belongs to a record has one."""
    everywhere = [name for scores in found.places.values() for name in scores]
    assert sorted(everywhere) == sorted(found.records), "each record in exactly one place, and no place without a record"
    assert counts.parked + counts.granted + counts.running + counts.held == len(found.records)
    moving = {*found.places["granted"], *found.places["running"]}
    for label in labels:
        assert found.open.get(label, set()) == {one for one in moving if found.records[one]["y"] == label}
    assert set(found.batches) <= set(found.places["held"]), "a batch that nobody will store"
    for task, name in found.tasks.items():
        assert name in found.records or f"task:{task}" in found.records, f"task {task} waits for what is gone"
    assert all(many >= 0 for many in found.days.values()), found.days
    assert found.without_end == []
    assert all(record.keys() & {"s", "f"} == {"s", "f"} for record in found.records.values()), "a record of nothing"


def the_vendor_sees_no_limit_passed(keys: Sequence[KeyLimits], arrived: Sequence[tuple[str, int, int]]) -> None:
    """Of the calls that arrived no window and no day holds more than its limit."""
    labels = {key.label for key in keys}
    for key in keys:
        for window in key.windows:
            calls = sorted(at for label, at, _ in arrived if label == key.label or (window.pool and label in labels))
            for first, last in zip(calls, calls[window.count :], strict=False):
                assert last - first >= window.window_ms * 1000, f"{key.label}: {window.text} was passed at the vendor"
        for day in key.calendars:
            days = Counter(clock // DAY for label, _, clock in arrived if label == key.label)
            assert max(days.values(), default=0) <= day.count, f"{key.label}: {day.text} was passed at the vendor"


def of_redis(record: dict[str, str]) -> dict[str, Any]:
    waiters = {name[1:]: value for name, value in record.items() if name[0] == "+"}
    return {
        "state": record["s"], "fence": int(record["f"]), "tag": int(record.get("t", 0)), "priority": int(record.get("p", 0)),
        "job": record.get("j", ""), "owner": record.get("o") or record.get("j", ""), "attempts": int(record.get("a", 0)),
        "kills": int(record.get("k", 0)), "calls": int(record.get("c", 0)), "message": record.get("m", ""), "waiters": waiters,
        "newer": int(record["r"]) > FORMAT,
    }  # fmt: skip


def of_the_model(one: Any) -> dict[str, Any]:
    state = {"ready": "parked", "delayed": "parked", "newer": "parked", "held": one.kind}.get(one.place, one.place)
    waiters = {who: f"{expires} {message}" if message else "" for who, (message, expires) in one.waiters.items()}
    return {
        "state": state, "fence": one.fence, "tag": one.tag, "priority": one.priority, "job": one.job, "owner": one.owner,
        "attempts": one.attempts, "kills": one.kills, "calls": one.calls, "message": one.message, "waiters": waiters,
        "newer": one.newer,
    }  # fmt: skip
