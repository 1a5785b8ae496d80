"""Traces for OpenTelemetry, where the settings name a collector (`[metrics] traces_url`): submit, fetch and store in one trace.

The id of a trace comes from the id of the job, or of a user's task, so nothing has to travel with a request: neither a
record in Redis nor a message has a further field, and an emptied Redis cuts no trace. Without a collector a call costs one
look at a setting.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from marketfetch import connections, redis_errors
from marketfetch.exceptions import MarketfetchError
from marketfetch.extras import need
from marketfetch.lazy_logger import logger
from marketfetch.settings import get_settings

log = logger("marketfetch.traces")

#: The collector takes spans within it, or they are dropped: no process waits longer for one that is away.
_EXPORT_S: Final = 3.0
_chosen: Final = threading.local()


def is_on() -> bool:
    """Whether the settings name a collector."""
    return bool(get_settings().metrics.traces_url)


def subject_of(provider: str, request_id: str) -> str:
    """The job, or the task (`task:<id>`), whose request this is, as the gate has it; "" where it has none, or is away."""
    gate = connections.gate(provider)
    try:
        owner, job = gate.redis.hmget(f"{gate.prefix}req:{request_id}", ["o", "j"])
    except redis_errors.RedisError:
        return ""
    found = owner or job
    return found.decode() if isinstance(found, bytes) else ""


def ended(
    name: str, subject: str, began_ns: int, attributes: Mapping[str, str | int], *, root: bool = False, failed: str = ""
) -> None:
    """Records a span that ends now, in the trace of `subject`. `began_ns`: Unix time. `failed`: the error's class.

    `root`: it is the first span of the trace. Attributes hold labels of keys, never keys. Raises nothing.
    """
    if not is_on() or not subject:
        return
    try:
        _record(name, subject, began_ns, root=root, failed=failed, attributes=attributes)
    except MarketfetchError as error:
        log.warning("span not recorded", error=str(error), next_step="install the extra, or leave traces_url out")


def flush(seconds: float) -> None:
    """Sends what is recorded, for a process that ends."""
    if is_on() and _provider.cache_info().currsize:
        _provider(os.getpid()).force_flush(int(seconds * 1000))


def _record(name: str, subject: str, began_ns: int, *, root: bool, failed: str, attributes: Mapping[str, str | int]) -> None:
    provider = _provider(os.getpid())
    from opentelemetry import trace
    from opentelemetry.context import Context

    digest = hashlib.sha256(f"marketfetch:{subject}".encode()).digest()
    own = trace.SpanContext(
        int.from_bytes(digest[:16], "big"),
        int.from_bytes(digest[16:24], "big"),
        is_remote=True,
        trace_flags=trace.TraceFlags(1),
    )
    caller = trace.get_current_span().get_span_context()
    links = [trace.Link(caller)] if root and caller.is_valid else []
    context = Context() if root else trace.set_span_in_context(trace.NonRecordingSpan(own), Context())
    _chosen.ids = (own.trace_id, own.span_id) if root else None
    try:
        span = provider.get_tracer("marketfetch").start_span(name, context, start_time=began_ns, links=links)
    finally:
        _chosen.ids = None
    for key, value in attributes.items():
        span.set_attribute(f"marketfetch.{key}", value)
    if failed:
        span.set_status(trace.Status(trace.StatusCode.ERROR, failed))
    span.end(max(began_ns, time.time_ns()))


@lru_cache(maxsize=1)
def _provider(_pid: int) -> Any:
    """Of this process, as a forked child has no thread that exports. Not the app's own provider. Raises MissingExtra."""
    need("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http", for_what="A trace")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            chosen = getattr(_chosen, "ids", None)
            return int(chosen[0] if chosen else super().generate_trace_id())

        def generate_span_id(self) -> int:
            chosen = getattr(_chosen, "ids", None)
            return int(chosen[1] if chosen else super().generate_span_id())

    provider = TracerProvider(resource=Resource.create({"service.name": "marketfetch"}), id_generator=Ids())
    exporter = OTLPSpanExporter(endpoint=get_settings().metrics.traces_url, timeout=_EXPORT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1_000))
    return provider
