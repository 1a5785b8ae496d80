"""Conversions between the gate's values and the arguments and replies of its Lua scripts."""

from __future__ import annotations

from typing import Any

from marketfetch.quotas.values import Grant, Parking, VendorCount


def parking_arguments(one: Parking) -> tuple[str, str, str, str, int]:
    """The five arguments of park.lua for one request."""
    return one.id, one.arguments, one.task, one.message, one.expires_ms


def page_arguments(following: Parking | None) -> tuple[str, str]:
    """The two arguments of finish.lua for the next page: its id, and what it is parked with."""
    return (following.id, following.arguments) if following else ("", "")


def count_arguments(counted: VendorCount | None) -> tuple[int, int | str, int | str]:
    """The three arguments of finish.lua for the vendor's own count: calls, then window and strictness, or a day's counter."""
    if counted is None:
        return 0, "", ""
    return (counted.calls, counted.counter, "") if counted.counter else (counted.calls, counted.window_us, int(counted.strict))


def grant_of(one: list[Any]) -> Grant:
    """A grant from one entry of admit.lua's reply."""
    request_id, fence, label, attempts, arguments, message, kind = one
    return Grant(
        id=request_id.decode(),
        fence=fence,
        key_label=label.decode(),
        attempts=attempts,
        arguments=arguments.decode(),
        message=message.decode(),
        kind=kind.decode(),
    )
