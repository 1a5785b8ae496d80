"""Two installations in one database: with a prefix, no key and no channel of ours lies outside of it.

The user of Redis has a right to keys with the prefix alone, so any other key would be refused. Channels are listened to: kombu
subscribes to patterns, and a user who may not use every channel may not do that.
"""

from __future__ import annotations

import json
from urllib.parse import quote

from redis import Redis

from tests.flow.conftest import LimitedJob, end_group
from tests.waiting import eventually

USER, PASSWORD = "team-a", "p%4w/;@,"
SENDS = """
from celery import chord
from tasks import app
from tasks.fetch import polygon
one = polygon.s("T", start="2024-01-02", end="2024-01-31")
print(one.delay().get(timeout=300)["outcome"])
late = one.apply_async(countdown=600)
app.control.revoke(late.id)
print(late.state, len(app.control.ping(timeout=300, limit=1)))
"""


def test_with_a_prefix_every_key_and_channel_carries_it(place, sandbox):
    with Redis.from_url(place.redis_url) as admin, admin.pubsub() as heard:
        heard.psubscribe("*")
        admin.acl_setuser(
            *(USER,), enabled=True, passwords=[f"+{PASSWORD}"], keys=["team-a:*"], channels=["*"], commands=["+@all"]
        )
        url = f"redis://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{place.valkey.port}?db=4"
        place.env |= {"MARKETFETCH_REDIS_URL": url, "MARKETFETCH_REDIS_PREFIX": "team-a"}
        said = place.marketfetch("check", "--json").stdout
        found = {one["subject"]: one["level"] for one in reversed(json.loads(said)["findings"])}
        assert {found[one] for one in ("redis", "gate", "broker", "results")} == {"ok"}, said
        with Redis.from_url(place.redis_url.removesuffix("0") + "4") as inside:
            assert inside.keys("*") == [], "a check leaves nothing"
            job = LimitedJob(place, sandbox, requests=6)
            worker = place.worker("-E", concurrency=2)
            job.submit()
            inside.lpush("team-a:store", "no message")
            job.reaches(6, within_s=20)
            eventually(lambda: inside.xlen("team-a:mf:dead") == 1, what="what can't be read is a dead letter")
            assert "store" in place.marketfetch("dead").stdout
            (letter,) = (one.decode() for one, _ in inside.xrange("team-a:mf:dead"))
            assert place.marketfetch("dead", "retry", letter).returncode == 0
            eventually(lambda: inside.xrange("team-a:mf:dead", min=f"({letter}"), what="it came back by its queue")
            done = place.run("-c", SENDS)
            assert done.stdout.split() == ["stored", "REVOKED", "1"], done.stderr
            assert "main" in place.marketfetch("quotas").stdout
            assert {str(one, "utf-8").partition("mf:")[0] for one in inside.keys("*mf:*")} == {"team-a:"}
            assert [one for one in inside.keys("*") if not one.startswith(b"team-a:")] == []
            assert inside.keys("team-a:mf:releaser:*")
            end_group(worker)
        assert "NOPERM" not in place.worker_log
        channels = {str(one["channel"], "utf-8") for one in iter(heard.get_message, None) if one["type"] == "pmessage"}
        assert {"team-a:mf:wake", "team-a:/4.celery.pidbox"} <= channels
        assert [one for one in channels if not one.startswith("team-a:")] == []
        refused = [one for one in admin.acl_log() if one["username"] == USER]
        assert refused == [], "nothing has ever asked for another name"
        assert PASSWORD not in place.worker_log + said + done.stderr
