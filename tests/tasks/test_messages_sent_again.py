"""A dead letter of a broker that is no Redis is kept with what a task needs, and published as it was."""

from __future__ import annotations

import json
from base64 import b64decode
from types import SimpleNamespace

import pytest
from kombu import Connection

from tasks import app
from tasks.sending.again import envelope, send_again

PARTS = {"content_type": "application/json", "content_encoding": "utf-8", "headers": {"task": "x", "id": "1"}}


@pytest.mark.parametrize("body", [b"[[], {}, {}]", "[[], {}, {}]", None])
def test_a_message_without_an_envelope_of_kombus_is_kept_by_its_parts(body):
    message = SimpleNamespace(**PARTS, body=body, properties={"correlation_id": "1", "priority": 3, "delivery_tag": "own"})
    kept = json.loads(envelope(message))
    assert b64decode(kept["body"]) == (b"[[], {}, {}]" if body else b"")
    assert kept["properties"] == {"correlation_id": "1", "priority": 3, "body_encoding": "base64"}


def test_a_message_of_kombus_is_kept_as_it_was():
    assert json.loads(envelope(SimpleNamespace(_raw={"body": "x"}))) == {"body": "x"}


@pytest.mark.parametrize("raw", [b"[]", b"5", b'{"properties": {}}', b'{"properties": 5, "body": ""}'])
def test_what_is_no_message_is_refused(raw):
    with pytest.raises(ValueError, match="it is no message of kombu's"):
        send_again("celery", raw)


def test_it_arrives_as_it_was(monkeypatch):
    with Connection("memory://") as connection:
        monkeypatch.setattr(app, "connection_for_write", lambda: connection)
        message = SimpleNamespace(**PARTS, body=b"[[1], {}, {}]", properties={"correlation_id": "1"})
        send_again("celery", envelope(message))
    with Connection("memory://") as connection:
        got = connection.default_channel.basic_get("celery", no_ack=True)
    assert (got.body, got.headers["task"], got.properties["correlation_id"]) == (b"[[1], {}, {}]", "x", "1")
