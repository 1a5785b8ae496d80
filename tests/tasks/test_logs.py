"""No secret leaves through a log line of any author, at any depth."""

from __future__ import annotations

import logging
import sys

from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery.exceptions import Reject
from kombu.exceptions import OperationalError

from marketfetch.redaction import Redactor
from tasks.hardening.lost_child_tracebacks import lost_child_as_sentence
from tasks.hardening.outage_tracebacks import outage_as_sentence


def cut(**event):
    return Redactor(["S3CRET-long", "S3CRET"])(None, "info", event)


def test_a_configured_secret_is_cut_from_every_depth():
    event = cut(event="got S3CRET-long!", error=ValueError("S3CRET"), more={"a": ["x", ("S3CRET",)]}, status=200)
    assert "S3CRET" not in str(event)
    assert event["event"] == "got [secret]!"
    assert event["status"] == 200


def test_a_strangers_key_in_a_url_is_cut_too():
    assert cut(event="GET /query?symbol=A&apikey=abc&x=1")["event"] == "GET /query?symbol=A&apikey=[secret]&x=1"
    assert cut(event="GET /v2?apiKey=abc")["event"] == "GET /v2?apiKey=[secret]"


def test_nothing_is_said_about_what_is_absent():
    assert cut(event="fetched", quirks=None) == {"event": "fetched"}


def test_a_killed_child_is_a_sentence_and_no_page_of_python():
    try:
        raise WorkerLostError("Worker exited prematurely: signal 9 (SIGKILL) Job: 41.")
    except WorkerLostError:
        wrapped = ExceptionInfo().exc_info
    record = logging.LogRecord("celery.worker.request", logging.ERROR, "", 1, "Task handler raised error: %r", (), wrapped)
    assert lost_child_as_sentence(record)
    assert record.exc_info is None
    assert record.getMessage().startswith("Worker exited prematurely: signal 9 (SIGKILL) Job: 41. Its request goes back")


def test_a_retry_that_redis_did_not_take_is_a_sentence():
    try:
        raise Reject(OperationalError("Connection refused"), requeue=False)
    except Reject:
        raised = sys.exc_info()
    record = logging.LogRecord("celery.app.trace", logging.WARNING, "", 1, "Task %s reject", ("t",), raised)
    assert outage_as_sentence(record)
    assert record.exc_info is None
    assert record.getMessage() == "Task t reject (Redis: Connection refused). It goes on by itself when Redis is back."
