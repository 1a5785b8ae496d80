"""Pages that lead nowhere: a vendor whose next page is one that was, or has the same rows, or none, or a name of megabytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from marketfetch.sandbox.faults import Fault
from marketfetch.sandbox.polygon_wire import HOST, polygon_reply
from marketfetch.sandbox.reply import Reply, json_reply
from marketfetch.sandbox.service import Call

_HUGE: Final = 6_000_000


def mislead(call: Call, fault: Fault, reply: Reply) -> Reply:
    """The reply with a next page as `fault.way` has it. A reply that has no pages (a dataset, a CSV) stays as it is."""
    if not reply.content_type.startswith("application/json"):
        return reply
    document: dict[str, Any] = json.loads(reply.body)
    name = _NAMES[fault.way or ""](fault.struck)
    if call.vendor == "polygon" and "resultsCount" in document:
        if fault.way == "empty":
            document.pop("results", None)
            document |= {"resultsCount": 0, "queryCount": 0, "count": 0}
        # The vendor's cursor holds the parameters of the request, and so the adjustment of its bars.
        asked = {"adjusted": str(document.get("adjusted", True)).lower(), "limit": 50_000, "page": name}
        cursor = base64.urlsafe_b64encode(urlencode(asked).encode()).decode().rstrip("=")
        return polygon_reply(document | {"next_url": f"{HOST}{call.path}?cursor={cursor}"}, symbol=reply.symbol)
    if call.vendor == "nasdaq" and "datatable" in document:
        if fault.way == "empty":
            document["datatable"]["data"] = []
        cursor = base64.b64encode(f"v1_0_{name}".encode()).decode()
        document["meta"] = {"next_cursor_id": cursor}
        return json_reply(document, symbol=reply.symbol, headers=(("cursor_id", cursor[:100]),))
    return reply


#: The name of the next page after so many calls.
_NAMES: Final[dict[str, Callable[[int], str]]] = {
    "circle": lambda calls: "ab"[calls % 2],
    "same rows": str,
    "empty": str,
    "huge cursor": lambda calls: f"{calls:x}" * _HUGE,
}
