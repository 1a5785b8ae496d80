"""Webhooks and mails of what has happened: real receivers on loopback, which fail, redirect, and are gone."""

from __future__ import annotations

import hashlib
import hmac
import json
import signal
import subprocess
import sys
import threading
from asyncio.base_events import Server
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from click.testing import CliRunner

from marketfetch import connections, submit
from marketfetch.cli.main import marketfetch
from marketfetch.jobs import happenings
from marketfetch.ops import freshness_look, notifying, webhooks
from marketfetch.ops.staleness import Stale
from marketfetch.settings import SettingsError, get_settings, override, unrelated_environment
from marketfetch.settings import model as settings_model
from marketfetch.storage.notifications import Notifications
from marketfetch.stored_settings import UnknownSetting, path_of
from tests.storage.batches import batch

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_700_000_000_000
MINUTE = 60_000


class Receiver(ThreadingHTTPServer):
    """`got`: the headers and bodies of all requests. `replies`: the statuses of the next ones, then 204."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[Any, str]] = []
        self.replies: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/T0KEN"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.got.append((self.headers, body))
        self.send_response(self.server.replies.pop(0) if self.server.replies else 204)
        self.send_header("location", self.server.url)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 (the library's name)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.refuses = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (the library's name)
        if self.refuses:
            return "451 try again later"
        self.mails.append(envelope)
        return "250 OK"


class MailServer(Controller):
    """On a free port, which the library does not look up."""

    def _trigger_server(self) -> None:
        self.port = cast("Server", self.server).sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def targets(*found: dict[str, Any], **more: str) -> Iterator[Notifications]:
    """The settings of before, with these targets; they are known from now on."""
    before = {f"MARKETFETCH_{name}": value for name, value in _variables().items()}
    with override({**before, "MARKETFETCH_NOTIFY": json.dumps(found), **more}):
        happenings.record(connections.store(), connections.redis(), now_ms=NOW - MINUTE)
        yield Notifications(connections.store())


def _variables() -> dict[str, str]:
    settings = get_settings()
    return {
        "REDIS_URL": settings.redis_url.get_secret_value() if settings.redis_url else "",
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "PROVIDERS__POLYGON__API_KEYS": "main:secret",
        "PROVIDERS__POLYGON__LIMITS": "[]",
    }


def record(at_ms: int = NOW) -> int:
    return happenings.record(connections.store(), connections.redis(), now_ms=at_ms)


def deliver(at_ms: int = NOW) -> int:
    return notifying.deliver_due(Notifications(connections.store()), now_ms=at_ms)


def set_aside(why: str = "Unknown API Key") -> None:
    gate = connections.gate("polygon")
    gate.redis.hset(f"{gate.prefix}key:main", "aside", why)


def verified(headers: Any, body: str) -> dict[str, Any]:
    """The event, if its signature is that of Standard Webhooks, worked out here anew."""
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    expected = hmac.digest(b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256)
    assert headers["webhook-signature"] == f"v1,{b64encode(expected).decode()}"
    found: dict[str, Any] = json.loads(body)
    return found


def test_the_signature_is_that_of_the_reference_library():
    """Of standardwebhooks 1.1.0, for the same values."""
    signed = webhooks.signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signature_holds_for_its_id_time_and_body_alone():
    """So a receiver that looks at the time refuses an event that is sent once more later, and nothing of it can be changed."""
    of = webhooks.signature(SECRET, "evt_1", 1_700_000_000, "{}")
    others = [("evt_2", 1_700_000_000, "{}"), ("evt_1", 1_700_000_001, "{}"), ("evt_1", 1_700_000_000, "{ }")]
    assert of not in [webhooks.signature(SECRET, *one) for one in others]
    assert of != webhooks.signature("whsec_" + b64encode(b"x" * 16).decode(), "evt_1", 1_700_000_000, "{}")


def test_no_client_can_name_a_target():
    """An address that a worker calls stands in the settings of the machine: it is no setting of the database."""
    for name in ("notify", "notify.ops.url", "smtp.host", "metrics.host"):
        with pytest.raises(UnknownSetting, match="is read when a process starts"):
            path_of(name, settings_model())


def test_the_end_of_a_job_is_sent_once_with_its_counts(emptied, receiver):
    emptied()
    with targets({"name": "ops", "url": receiver.url, "secret": SECRET, "events": ["job over"]}):
        store = connections.store()
        job = submit("polygon", ["AAPL"], start="2024-01-02", end="2024-01-03", name="nightly")
        assert record() == 0
        store.store([batch(one.request_id, {0: 1.0}) for one in store.unfinished(job.job_id)])
        assert store.is_over(job.job_id)
        assert [record() for _ in range(2)] == [1, 0]
        assert [deliver() for _ in range(2)] == [1, 0]
        ((headers, body),) = receiver.got
        event = verified(headers, body)
        assert (event["type"], event["timestamp"]) == ("job over", "2023-11-14T22:13:20Z")
        assert event["data"]["sentence"] == f"Job nightly ({job.job_id}) is done: 1 row of 1 request."
        assert (event["data"]["job"], event["data"]["outcome"], event["data"]["counts"]["rows"]) == (job.job_id, "done", 1)


def test_a_refused_key_is_sent_once_until_it_is_back_and_with_no_secret(emptied, receiver):
    emptied()
    with targets({"name": "ops", "url": receiver.url, "secret": SECRET}):
        set_aside("Unknown API Key secret")
        assert [record() for _ in range(2)] == [1, 0]
        connections.gate("polygon").resume("main")
        assert record() == 0
        set_aside()
        assert record() == 1
        assert deliver() == 2
        events = [verified(*one) for one in receiver.got]
        assert [one["data"]["key"] for one in events] == ["main", "main"]
        assert {one["data"]["why"] for one in events} == {"Unknown API Key [secret]", "Unknown API Key"}
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 2


def test_stale_series_are_one_event_of_their_vendor(emptied, receiver):
    def behind(*sessions: int, over: bool = False) -> None:
        day = date(2024, 1, 2)
        stale = [Stale("polygon", f"S{n}", "1d", "raw", day, day, n, over) for n in sessions]
        connections.redis().set(freshness_look.KEY, json.dumps(asdict(freshness_look.of(stale))))

    emptied()
    with targets({"name": "ops", "url": receiver.url, "secret": SECRET, "events": ["stale"]}):
        behind(1)
        assert record() == 0, "the evening's update may still come"
        behind(9, over=True)
        assert record() == 0, "the vendor has no more"
        behind(1, 3, 2)
        assert [record() for _ in range(2)] == [1, 0]
        deliver()
        data = verified(*receiver.got[0])["data"]
        assert data["sentence"] == "3 series of polygon are behind the calendar; S3 1d lacks 3 sessions."
        behind()
        assert record() == 0
        behind(2)
        assert record() == 1
        behind()
        record()
    with targets({"name": "ops", "url": receiver.url, "events": ["stale"]}, MARKETFETCH_STALE_FROM_SESSIONS="5"):
        behind(4)
        assert record() == 0
        behind(5)
        assert record() == 1


def test_an_event_is_sent_again_with_the_same_id_until_it_is_taken(emptied, receiver):
    emptied()
    with targets({"name": "ops", "url": receiver.url, "secret": SECRET}) as recorded:
        receiver.replies = [500, 302]
        set_aside()
        record()
        at = NOW
        for _ in range(2):
            assert deliver(at) == 0
            assert deliver(at + 5_000) == 0, "not before its time"
            at += 60 * MINUTE
        assert len(receiver.got) == 2, "a redirect is not followed"
        ((_, many, error),) = recorded.waiting()
        assert (many, error) == (1, "it redirects with 302, which is not followed: correct the url")
        assert deliver(at) == 1
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
        assert len({headers["webhook-timestamp"] for headers, _ in receiver.got}) == 3
        for one in receiver.got:
            verified(*one)
        assert recorded.waiting() == []


SENDER = """
from marketfetch import connections
from marketfetch.ops import notifying
from marketfetch.storage.notifications import Notifications
connections._arm()
notifying.deliver_due(Notifications(connections.store()), now_ms=%d)
"""


@pytest.mark.parametrize(("point", "times"), [("deliver:before", 1), ("deliver:after", 2)])
def test_a_process_that_dies_between_its_claim_and_its_note_delays_the_event(emptied, receiver, tmp_path, point, times):
    """Killed by the kernel, at the call and behind it: the event is sent at least once, and always under one id."""
    emptied()
    target = {"name": "ops", "url": receiver.url, "secret": SECRET}
    with targets(target):
        set_aside()
        record()
        variables = {f"MARKETFETCH_{name}": value for name, value in _variables().items()}
        variables |= {"MARKETFETCH_NOTIFY": json.dumps([target]), "MARKETFETCH_FAILPOINT": point}
        env = {**unrelated_environment(), **variables}
        died = subprocess.run([sys.executable, "-c", SENDER % NOW], cwd=tmp_path, env=env, capture_output=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert len(receiver.got) == times - 1
        assert deliver(NOW + 5_000) == 0, "its claim is in force"
        assert deliver(NOW + 2 * MINUTE) == 1
        assert len(receiver.got) == times
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
        for one in receiver.got:
            verified(*one)


def test_a_target_that_fails_holds_up_no_other(emptied, receiver):
    emptied()
    away = {"name": "away", "url": "http://127.0.0.1:1/T0KEN", "events": ["key refused"]}
    with targets(away, {"name": "ops", "url": receiver.url}) as recorded:
        set_aside()
        record()
        assert deliver() == 1
        assert "webhook-signature" not in receiver.got[0][0]
        assert recorded.waiting() == [("away", 1, "nothing listens there")]
        found = CliRunner().invoke(marketfetch, ["check", "--json"]).stdout
        assert "1 event for away can't be sent: nothing listens there." in found
        assert "T0KEN" not in found


def test_a_round_of_slow_targets_ends_before_its_claims_do(emptied, receiver, monkeypatch):
    """Another process would send what a claim that has ended was to keep to this one."""
    emptied()
    send, passed_s = notifying.send, [0.0]

    def slow(*given: Any, **more: Any) -> None:
        passed_s[0] += 20
        send(*given, **more)

    with targets(*({"name": name, "url": receiver.url} for name in ("a", "b", "c"))):
        set_aside()
        record()
        with monkeypatch.context() as patched:
            patched.setattr(notifying, "send", slow)
            patched.setattr(notifying, "monotonic", lambda: passed_s[0])
            assert deliver() == 2, "after 40 s no more is claimed"
        assert deliver() == 1
        assert len(receiver.got) == 3


@pytest.mark.parametrize(("status", "at_ms"), [(410, NOW), (500, NOW + 3 * 86_400_000)])
def test_what_is_gone_or_fails_for_three_days_is_given_up_and_check_says_so(emptied, receiver, status, at_ms):
    emptied()
    with targets({"name": "ops", "url": receiver.url, "secret": SECRET}) as recorded:
        receiver.replies = [status]
        set_aside()
        record()
        assert deliver(at_ms) == 0
        assert deliver(at_ms + 9 * 86_400_000) == 0
        assert recorded.given_up_since(NOW) == [("ops", 1, f"it responds with {status}")]
        assert len(receiver.got) == 1


def test_the_pauses_grow_up_to_four_hours():
    assert [notifying.wait_s(tries) for tries in (1, 2, 3, 9, 99)] == [10, 40, 160, 14_400, 14_400]


def test_a_target_that_was_removed_gets_nothing_more(emptied, receiver):
    emptied()
    with targets({"name": "ops", "url": receiver.url}):
        set_aside()
        record()
    with targets({"name": "other", "url": receiver.url}) as recorded:
        assert deliver() == 0
        assert recorded.given_up_since(0) == [("ops", 1, "the settings have no target of this name any more")]


def test_a_mail_says_it_in_its_subject_and_comes_again_after_a_failure(emptied):
    emptied()
    box = Mailbox()
    server = MailServer(box, hostname="127.0.0.1", port=0)
    server.start()
    try:
        port = server.port
        smtp = {"MARKETFETCH_SMTP__HOST": "127.0.0.1", "MARKETFETCH_SMTP__PORT": str(port), "MARKETFETCH_SMTP__TLS": "none"}
        with targets(
            {"name": "desk", "email": "desk@example.com"}, **smtp, MARKETFETCH_SMTP__SENDER="m@example.com"
        ) as recorded:
            box.refuses = True
            set_aside()
            record()
            assert deliver() == 0
            assert recorded.waiting() == [("desk", 1, "the server 127.0.0.1 responds with 451")]
            box.refuses = False
            assert deliver(NOW + MINUTE) == 1
            (mail,) = box.mails
            assert (mail.mail_from, mail.rcpt_tos) == ("m@example.com", ["desk@example.com"])
            text = mail.content.decode()
            assert "Subject: marketfetch: polygon has refused the key main" in text
            assert "Message-ID: <evt_" in text
            assert "why: Unknown API Key" in text
            found = json.loads(CliRunner().invoke(marketfetch, ["check", "--notify", "--json"]).stdout)
            assert {"level": "ok", "subject": "notify", "sentence": "desk has taken a trial."} in found["findings"]
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ({"name": "x"}, "the target 'x' has a url or an email, one of them"),
        ({"name": "x", "url": "ftp://h/T0KEN"}, "this is no URL of a webhook"),
        ({"name": "x", "url": "http://h/T0KEN", "secret": "whsec_T0KEN"}, "at least 16 random bytes"),
        ({"name": "x", "url": "http://h/", "secret": "T0KEN"}, "at least 16 random bytes"),
        ({"name": "x", "email": "nowhere"}, "this is no mail address"),
        ({"name": "x", "email": "a@b.c"}, "there is no [smtp] that sends it"),
        ({"name": "x", "url": "http://h/T0KEN", "events": ["over"]}, "job over"),
        ({"name": "x", "url": "http://h/T0KEN", "events": []}, "events"),
    ],
)
def test_a_wrong_target_is_a_sentence_without_its_secret(target, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught, override({"MARKETFETCH_NOTIFY": json.dumps([target])}):
        get_settings()
    assert says in caught.value.message
    assert "T0KEN" not in caught.value.message
