"""Lanes: the requests of an owner wait apart, and only the owner's keys serve them. Without an owner the lane is "".

The lane is a part of a request's id, so that every script finds it without a look at the record, and equal requests of two
owners are two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from marketfetch.quotas.limits import KeyLimits

#: Between a lane and the rest of an id: call.lua reads it.
SEPARATOR: Final = "~"
#: 64 bits: two owners in one lane would share their keys.
_DIGITS: Final = 16


def lane(owner: str) -> str:
    """The lane of an owner's requests: 16 hex digits, "" without an owner."""
    return hashlib.sha256(owner.encode()).hexdigest()[:_DIGITS] if owner else ""


def lane_of_id(request_id: str) -> str:
    """The lane that a request's id names, "" for none."""
    found, separator, _ = request_id.partition(SEPARATOR)
    return found if separator and len(found) == _DIGITS and ":" not in found else ""


def serving(keys: Iterable[KeyLimits], name: str) -> tuple[KeyLimits, ...]:
    """The keys that serve a lane."""
    return tuple(key for key in keys if name in key.lanes)
