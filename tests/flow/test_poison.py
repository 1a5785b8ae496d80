"""Messages that no worker can read or run: workers live on, good requests are stored, each is kept with its reason."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

import pytest

from tests.flow.conftest import SECRETS
from tests.flow.poisons import CALL, UNREADABLE, UNUSABLE, envelope
from tests.flow.test_ways_in import ASKED, answer
from tests.waiting import eventually

SYMBOLS = ("AAPL", "MSFT", "TSLA", "NVDA", "AMZN")
DAYS = ("--start", "2024-01-02", "--end", "2024-01-05")


def dead(place) -> list[dict]:
    done = place.marketfetch("dead", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict] = json.loads(done.stdout)["messages"]
    return found


def tag(raw: bytes) -> str:
    return str(json.loads(raw)["properties"]["delivery_tag"])


@pytest.mark.parametrize("queue", ["fetch.polygon", "store", "celery"])
def test_each_kind_is_set_aside_with_its_reason_while_good_requests_are_stored(place, queue):
    redis = place.redis()
    worker = place.worker(concurrency=2)
    jobs = [place.marketfetch("fetch", "polygon", one, *DAYS).stdout.strip() for one in SYMBOLS]
    for raw, _ in (UNREADABLE | UNUSABLE).values():
        redis.lpush(queue, raw)
    jobs.append(place.marketfetch("fetch", "polygon", "GOOGL", *DAYS).stdout.strip())
    count = len(UNREADABLE | UNUSABLE)
    eventually(lambda: redis.xlen("mf:dead") == count, within_s=40, what="every poison in the list")
    eventually(lambda: {place.status(job)["state"] for job in jobs} == {"done"}, within_s=30)

    kept = [(b64decode(one[b"raw"]), one[b"reason"].decode()) for _, one in redis.xrange("mf:dead")]
    for name, (raw, words) in UNREADABLE.items():
        assert [reason for one, reason in kept if one == raw[: 64 * 1024] and words in reason], name
    reasons = {tag(one): reason for one, reason in kept if tag_of(one)}
    for name, (raw, words) in UNUSABLE.items():
        assert words in reasons[tag(raw)], name

    assert worker.poll() is None
    assert place.worker_log.count(" ready.") == 1
    assert "Traceback" not in place.worker_log
    lines = [line for line in place.worker_log.splitlines() if "message can't be used" in line]
    assert len(lines) == count
    assert "\x1b[31m" not in place.worker_log
    assert (redis.llen(queue), redis.hlen("unacked")) == (0, 0)
    assert f"{count} messages could not be read: `marketfetch dead` shows which, and why." in place.marketfetch("status").stderr


def tag_of(raw: bytes) -> str:
    try:
        return tag(raw)
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""


SENTENCE = (
    "from celery.result import AsyncResult\n"
    "try:\n    answer = AsyncResult('{}', app=app).get(timeout=300)\n"
    "except Exception as error:\n    answer = [type(error).__name__, str(error)]"
)


@pytest.mark.parametrize(
    "kind", ["no base64", "a body of junk", "a body of two", "an unknown task", "a codec that is missing here"]
)
def test_who_waits_for_its_result_gets_the_sentence(place, kind):
    raw, words = (UNREADABLE | UNUSABLE)[kind]
    place.redis().lpush("fetch.polygon", raw)
    place.worker()
    name, sentence = answer(place, SENTENCE.format(json.loads(raw)["headers"]["id"]))
    assert name == "UnreadableMessage"
    assert words in sentence
    assert sentence.endswith("Its message is kept: `marketfetch dead`.")


def test_a_chord_with_a_dead_member_fails_instead_of_waiting_for_ever(place):
    place.worker()
    code = (
        "from celery import chord\nfrom tests.waiting import eventually\n"
        f"header = [polygon.s('AAPL', {ASKED}), app.signature('tasks.fetch.poligon', queue='celery')]\n"
        "body = chord(header)(store_batch.si({}))\n"
        "answer = eventually(lambda: body.state == 'FAILURE')"
    )
    assert answer(place, code) is True


def test_a_task_without_its_arguments_leaves_the_lane_for_the_list_and_is_not_released_again(place, sandbox):
    place.worker()
    # As the release before parked it, which did not check arguments.
    code = "from tasks.sending import parking\nparking._planned = lambda *_, **__: None\n"
    code += "answer = app.send_task('tasks.fetch.polygon').id"
    name, sentence = answer(place, SENTENCE.format(answer(place, code)))
    assert (name, "missing a required argument: 'symbol'" in sentence) == ("UnreadableMessage", True)
    assert not place.redis().keys("mf:*req*")
    assert len(dead(place)) == 1
    assert sandbox.log()["calls"] == 0


def test_a_fetch_task_of_no_vendor_fails_with_its_name_and_parks_nowhere(place):
    place.worker()
    task_id = answer(place, "answer = app.send_task('tasks.fetch.poligon', ('AAPL',)).id")
    name, sentence = answer(place, SENTENCE.format(task_id))
    assert (name, "tasks.fetch.poligon" in sentence) == ("UnreadableMessage", True)
    assert not place.redis().keys("mf:*req*")


def test_a_request_that_the_gate_still_has_is_not_lost_with_its_message(place):
    task_id = answer(place, f"answer = polygon.delay('AAPL', {ASKED}).id")
    (record,) = place.redis().keys("mf:{polygon}:req:*")
    grant = {"id": record.decode().partition(":req:")[2], "fence": 1}
    place.redis().lpush("fetch.polygon", envelope("junk", headers={"id": task_id, "marketfetch": grant}))
    place.worker()
    assert answer(place, SENTENCE.format(task_id))["outcome"] == "stored"
    (one,) = dead(place)
    assert one["task_id"] == task_id
    assert one["reason"].endswith("The gate still has this request and gives it back by itself")


def test_a_message_is_acknowledged_only_when_it_is_in_the_list(place):
    redis = place.redis()
    redis.set("mf:dead", "in the way, so that nothing can be written there")
    redis.lpush("fetch.polygon", UNUSABLE["a body of two"][0], UNREADABLE["no JSON"][0])
    worker = place.worker(concurrency=2)
    eventually(lambda: "WRONGTYPE" in place.worker_log, what="a failed write")
    worker.kill()
    worker.wait()
    redis.delete("mf:dead")
    for delivery_tag in redis.hkeys("unacked"):
        redis.zadd("unacked_index", {delivery_tag: 0})  # as after the visibility timeout
    place.worker(concurrency=2)
    eventually(lambda: redis.xlen("mf:dead") >= 2)
    assert sorted({one["reason"].partition(":")[0] for one in dead(place)}) == [
        "it is no message but something else",
        "its body is [[], {}], where Celery has [args, kwargs, options]",
    ]
    eventually(lambda: (redis.llen("fetch.polygon"), redis.hlen("unacked")) == (0, 0))


def test_a_corrected_message_is_sent_again_to_the_list_it_came_from(place):
    redis = place.redis()
    redis.lpush("fetch.polygon\x06\x166", envelope(headers={"task": "tasks.fetch.poligon"}))
    place.worker()
    (one,) = eventually(lambda: dead(place))
    done = place.marketfetch("dead", "retry", one["id"])
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"Message {one['id']} of queue fetch.polygon is back in the queue.\n"
    # Its task is still unknown, so it comes back: under a new id, from the same place.
    (again,) = eventually(lambda: [other for other in dead(place) if other["id"] != one["id"]])
    assert (again["queue"], again["task_id"], again["reason"]) == (one["queue"], one["task_id"], one["reason"])
    assert redis.xrange("mf:dead")[0][1][b"list"] == b"fetch.polygon\x06\x166"


def test_no_secret_is_shown(place):
    secret = SECRETS["polygon"]
    redis = place.redis()
    redis.lpush("fetch.polygon", f"api key {secret}")
    redis.lpush("fetch.polygon", envelope(CALL.replace("AAPL", secret), headers={"task": f"tasks.{secret}"}))
    redis.lpush("fetch.polygon", envelope(f'["{secret}"]'))
    place.worker()
    eventually(lambda: redis.xlen("mf:dead") == 3)
    found = dead(place)
    said = [place.marketfetch("dead").stdout, json.dumps(found), place.worker_log]
    for one in found:
        said += [
            place.marketfetch("dead", "show", one["id"]).stdout,
            place.marketfetch("dead", "show", one["id"], "--json").stdout,
        ]
    assert all("[secret]" in text for text in said)
    assert not [text for text in said if secret in text or b64encode(secret.encode()).decode()[4:-4] in text]


def test_a_worker_that_has_lost_its_connection_is_as_careful_afterwards(place):
    redis = place.redis()
    worker = place.worker()
    redis.client_kill_filter(_type="normal", skipme=True)
    eventually(lambda: "Connection to broker lost" in place.worker_log, what="lost connection")
    redis.lpush("fetch.polygon", *(UNREADABLE[kind][0] for kind in ("no JSON", "headers null", "no base64")))
    eventually(lambda: redis.xlen("mf:dead") == 3)
    assert worker.poll() is None
    assert place.fetch("polygon", "AAPL", start="2024-01-02", end="2024-01-05")["state"] == "done"
