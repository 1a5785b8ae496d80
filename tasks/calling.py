"""The one call of an attempt: what is known of it, and how it goes over the wire."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from threading import Event
from typing import Final

from celery import Task
from pydantic import SecretStr

from marketfetch.configured import counted, options
from marketfetch.ops import counters, traces
from marketfetch.quotas.values import VendorCount
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.settings import get_settings
from marketfetch.vendors import reading, transport
from marketfetch.vendors.errors import BadRequest, Unavailable
from marketfetch.vendors.http import HttpReply, HttpRequest
from marketfetch.vendors.wire import steady_ns, steady_s

from . import kept_files
from .endpoints import Endpoint
from .sending.parking import GRANT_HEADER, SENT

#: An event that is never set: waiting for it lets time pass.
NOTHING: Final = Event()


class Calling:
    """The call of an attempt. `unsent` stays True until it is made, and for a part of a file that needs no call."""

    def __init__(self, task: Task, *, lease_ends: float, opens_at: float) -> None:
        """`lease_ends`, `opens_at`: on the steady clock."""
        #: After this moment another worker may have the request.
        self.lease_ends = lease_ends
        self.opens_at = opens_at
        self.task = task
        self.called_at_ms = 0
        self.sent_at_ns = 0
        self.replied_at_ns = 0
        self.unsent = True
        self.reply_bytes = 0
        self.status: int | None = None
        self.url = ""
        self.counted: VendorCount | None = None
        #: The request, where it is for a part of a file.
        self.of_file: Request | None = None

    def part(self, request: Request, call: HttpRequest, endpoint: Endpoint) -> Page:
        """Reads a part of a file, which stays on this machine's disk until its last part. Raises FetchError, SendTooLate.

        The vendor keeps its files, so that the archive has no use for them. A kept file that is not the one of the other parts
        says nothing about the vendor's: that one decides.
        """
        self.of_file = request
        if request.page and (found := kept_files.kept(request)):
            reply, self.called_at_ms = found
            self.status = reply.status
            try:
                return read(request, reply, endpoint.secret)
            except (BadRequest, Unavailable):
                kept_files.forget(request)
        reply = self.sent(request, call, endpoint)
        page = read(request, reply, endpoint.secret)
        if page.next is not None:
            kept_files.keep(request, reply, called_at_ms=self.called_at_ms)
        return page

    def sent(self, request: Request, call: HttpRequest, endpoint: Endpoint) -> HttpReply:
        """The reply to the one call, which it makes when its slot opens. Raises FetchError, SendTooLate."""
        section = get_settings().provider(request.provider)
        if (ahead_s := self.opens_at - steady_s()) > 0:
            # The only wait in a worker: a grant may be some milliseconds ahead of its slot.
            NOTHING.wait(ahead_s)
        self.called_at_ms = time.time_ns() // 1_000_000
        self.task.request.get(GRANT_HEADER)[SENT] = True
        self.unsent = False
        reply = transport.send(
            call,
            base_url=endpoint.base_url,
            provider=request.provider,
            key_label=endpoint.key_label,
            key=endpoint.secret,
            way=transport.Way(section.proxy, str(section.ca_file) if section.ca_file else None),
            timeouts=endpoint.timeouts,
            # Measured from before `start`: a machine that slept since then must not send a request that has a new holder.
            send_by=self.lease_ends - endpoint.timeouts.total_s,
        )
        self.replied_at_ns, self.sent_at_ns = steady_ns(), reply.sent_ns
        self.status, self.reply_bytes = reply.status, len(reply.body)
        self.counted = counted(request.provider, endpoint.key_label, reply)
        return reply

    def count(self, provider: str, key_label: str, outcome: str, *, record: str) -> None:
        """Counts the call for the metrics, if one was made; it is a span of the trace of its job. `record`: in the gate."""
        if not self.unsent:
            if traces.is_on():
                subject, failed = traces.subject_of(provider, record), "" if outcome == "ok" else outcome
                names = {"provider": provider, "key": key_label, "outcome": outcome, "request": record}
                traces.ended("fetch", subject, self.called_at_ms * 1_000_000, names, failed=failed)
            took_ns = self.replied_at_ns - self.sent_at_ns if self.replied_at_ns else 0
            counters.call(provider, key_label, outcome, took_ns=took_ns, reply_bytes=self.reply_bytes)


def read(request: Request, reply: HttpReply, secret: SecretStr) -> Page:
    """The page of a reply, under the settings' share of rejects. Raises FetchError."""
    settings = get_settings()
    return reading.read(
        request,
        reply,
        options(request.provider),
        max_reject_share=settings.max_reject_share,
        fewest_judged=settings.reject_share_min_rows,
        secrets=(secret.get_secret_value(),),
        now=datetime.now(UTC),
    )
