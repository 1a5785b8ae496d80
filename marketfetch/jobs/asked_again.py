"""Requests that are over without a result are made again by themselves in a later job: in a generation of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from uuid import uuid4

from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.request import Request

#: Failures that the same call meets again: the classes of the error tree (vendors/errors.py) that fail at once.
_REFUSED: Final = re.compile(r": (UnknownSymbol|NotEntitled|BadRequest|Gone): ")


class LedgerReader(Protocol):
    """The part of a store that is read here."""

    def ended_roots(self, roots: Sequence[str]) -> Mapping[str, bool]: ...


def asked_again(spec: JobSpec, requests: Sequence[Request], store: LedgerReader) -> list[Request]:
    """Returns the requests, those in a new generation of which the ledger says that a page failed or was cancelled.

    One that is in flight is shared with the jobs that wait for it, and one that is stored is not made again: its coverage is
    missing where a release without coverage has stored it. Raises StoreError.
    """
    found = list(requests)
    for generation in (spec.as_of, uuid4().hex[:12]):
        ended = store.ended_roots([one.root for one in found])
        if not any(ended.values()):
            break
        found = [one.model_copy(update={"generation": generation}) if ended.get(one.root) else one for one in found]
    return found


def is_refusal(reason: str) -> bool:
    """True for the ledger's reason of a failure that the same call would meet again."""
    return _REFUSED.search(reason) is not None
