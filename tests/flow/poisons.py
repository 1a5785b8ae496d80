"""One of each kind of message that no worker can run: its name, its bytes, and words that its reason must hold."""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64encode
from typing import Any
from uuid import uuid4

CALL = '[["AAPL"], {"start": "2024-01-02", "end": "2024-01-05"}, {}]'


def envelope(body: str | bytes = CALL, *, queue: str = "fetch.polygon", headers: Any = None, **other: Any) -> bytes:
    """A message as kombu 5.7 writes it, with what is given here instead; `...` leaves a part out."""
    task_id = str(uuid4())
    known = {"lang": "py", "task": "tasks.fetch.polygon", "id": task_id, "retries": 0, "timelimit": [None, None]}
    whole = {
        "body": b64encode(body if isinstance(body, bytes) else body.encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {key: value for key, value in {**known, **(headers or {})}.items() if value is not ...},
        "properties": properties(queue=queue, correlation_id=task_id),
        **{name.replace("_", "-"): value for name, value in other.items()},
    }
    return json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()


def properties(*, queue: str = "fetch.polygon", **other: Any) -> dict[str, Any]:
    known = {
        "delivery_info": {"exchange": "", "routing_key": queue},
        "delivery_mode": 2,
        "delivery_tag": str(uuid4()),
        "priority": 0,
        "body_encoding": "base64",
    }
    return {name: value for name, value in {**known, **other}.items() if value is not ...}


def store(args: str) -> bytes:
    return envelope(f"[{args}, {{}}, {{}}]", queue="store", headers={"task": "tasks.store.store_batch"})


def carrying(raw: bytes, grant: dict[str, Any]) -> bytes:
    """The same message as a releaser would have published it for this grant; unchanged where it has no headers of a task."""
    return raw.replace(b'"retries": ', b'"marketfetch": %s, "retries": ' % json.dumps(grant).encode(), 1)


def named(raw: bytes, task_id: str) -> bytes:
    """The same message with this task's id, where it has one."""
    return re.sub(rb'"id": "[0-9a-f-]{36}"', b'"id": "%s"' % task_id.encode(), raw, count=1)


def can_carry(raw: bytes) -> bool:
    """True for a message in which a grant can stand: it has the headers of a task, and no other grant."""
    return b'"retries": ' in raw and b'"marketfetch": ' not in raw


#: Messages that kombu can't read: a stock worker ends, or enters a reconnect loop, and the message is gone.
UNREADABLE = {
    "no JSON": (b"this is no json", "no message but something else"),
    "nothing": (b"", "no message but something else"),
    "bytes": (bytes(range(256)), "no message but something else"),
    "a number": (b"42", "envelope is damaged"),
    "null": (b"null", "envelope is damaged"),
    "a list": (b"[]", "envelope is damaged"),
    "an empty object": (b"{}", "headers should be an object, not None; properties should be an object, not None"),
    "deep nesting": (b"[" * 200_000, "nested too deeply"),
    "a false date": (envelope(headers={"x": {"__type__": "datetime", "__value__": "x"}}), "Invalid isoformat"),
    "an id that is a false date": (envelope(headers={"id": {"__type__": "datetime", "__value__": "x"}}), "Invalid isoformat"),
    "no base64": (envelope("x").replace(b'"eA=="', b'"%%%not base64!"'), "said to be base64 and is not"),
    "a body that is a list": (envelope().replace(b'"body": "', b'"body": [1], "b": "'), "body should be text, not [1]"),
    "headers null": (envelope().replace(b'"headers": {', b'"headers": null, "h": {'), "headers should be an object, not None"),
    "headers missing": (envelope().replace(b'"headers": {', b'"h": {'), "headers should be an object, not None"),
    "no properties": (envelope(properties=...), "properties should be an object, not None"),
    "a priority of words": (envelope(properties=properties(priority="5")), "properties.priority should be a number, not '5'"),
    "an encoding that is a number": (envelope(content_encoding=5), "content-encoding should be text, not 5"),
    "no delivery tag": (envelope(properties=properties(delivery_tag=...)), "delivery_tag should be text, not None"),
    "a delivery tag that is none": (envelope(properties=properties(delivery_tag={})), "delivery_tag should be text, not {}"),
    "no delivery info": (envelope(properties=properties(delivery_info=...)), "delivery_info should be an object, not None"),
    "an unknown body encoding": (envelope(properties=properties(body_encoding="rot13")), "'rot13'"),
    "a codec that is missing here": (envelope(headers={"compression": "application/zstd"}), "'application/zstd'"),
    "a codec of no name": (envelope(headers={"compression": [1]}), "its compression is [1]"),
    "not compressed at all": (envelope(headers={"compression": "gzip"}), "said to be compressed"),
    "a bomb": (envelope(zlib.compress(b"0" * 50_000_000), headers={"compression": "gzip"}), "unpacks to more than"),
    "9 MB": (envelope(body="x" * 7_000_000), "taken for a mistake"),
}  # fmt: skip

#: Messages that kombu can read and no worker can run.
UNUSABLE = {
    "a body of junk": (envelope("junk"), "body is no JSON"),
    "a body of a number": (envelope("42"), "where Celery has [args, kwargs, options]"),
    "a body of null": (envelope("null"), "where Celery has [args, kwargs, options]"),
    "a body of an empty object": (envelope("{}"), "do not fit tasks.fetch.polygon"),
    "what looks like our own": (envelope("[]", headers={"marketfetch-unreadable": 5}), "where Celery has"),
    "a grant of half a character": (envelope("junk", headers={"marketfetch": {"id": "\ud800"}}), "body is no JSON"),
    "a name that would colour the screen": (envelope(headers={"task": "\x1b[31m\nred"}), "knows no task"),
    "a body of two": (envelope("[[], {}]"), "where Celery has [args, kwargs, options]"),
    "a body too deep": (envelope("[" * 20_000), "nested too deeply"),
    "body null": (envelope().replace(b'"body": "', b'"body": null, "b": "'), "no body"),
    "body missing": (envelope().replace(b'"body": ', b'"b": '), "no body"),
    "args no list": (envelope("[5, {}, {}]"), "args: must be a list"),
    "kwargs no object": (envelope("[[], 5, {}]"), "kwargs: must be a table of names and values"),
    "a chain of junk": (envelope(CALL.replace("{}]", '{"chain": [5]}]')), "chain.0"),
    "a chord of junk": (envelope(CALL.replace("{}]", '{"chord": 5}]')), "chord"),
    "no headers inside": (envelope("{}", headers={"task": ..., "id": ...}), "task: is missing"),
    "no id": (envelope(headers={"id": ...}), "id: is missing"),
    "an id of half a character": (envelope(headers={"id": "\ud800"}), "id: "),
    "a task that is no name": (envelope(headers={"task": {}}), "task: must be a text"),
    "an unknown task": (envelope(headers={"task": "tasks.fetch.poligon"}), "did you mean 'tasks.fetch.polygon'?"),
    "an eta that is no time": (envelope(headers={"eta": "soon"}), "invalid ETA value 'soon'"),
    "an expiry that is no time": (envelope(headers={"expires": "soon"}), "invalid expires value 'soon'"),
    "a time limit of words": (envelope(headers={"timelimit": ["a", "b"]}), "timelimit.0"),
    "retries of words": (envelope(headers={"retries": "many"}), "retries"),
    "a grant of junk": (envelope(headers={"marketfetch": 5}), "marketfetch: "),
    "a pickle": (envelope(content_type="application/x-python-serialize"), "only application/json is accepted"),
    "no content type": (envelope(content_type=...), "[args, kwargs, options]"),
    "no symbol": (envelope("[[], {}, {}]"), "missing a required argument: 'symbol'"),
    "itself as an argument": (envelope('[["AAPL"], {"self": 1}, {}]'), "multiple values for argument 'self'"),
    "a store task without a reference": (store("[]"), "missing a required argument: 'ref'"),
    "a store task with a number": (store("[5]"), "takes the reference that a fetch task returns"),
    "a store task with half a reference": (store('[{"provider": "polygon"}]'), "symbol: is missing"),
    "a store task of another vendor": (
        store('[{"provider": "bloom", "symbol": "A", "request": "x", "outcome": "stored", "rows": 1, "rejects": 0}]'),
        "the vendor 'bloom'",
    ),
}  # fmt: skip
