"""The three verbs that every vendor answers to. A vendor is a module with these names; adding one is one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from marketfetch.schemas.column_mapping import ColumnMapping
from marketfetch.schemas.job_spec import JobSpec
from marketfetch.schemas.page import Page
from marketfetch.schemas.request import Request
from marketfetch.vendors.http import HttpReply, HttpRequest


@dataclass(frozen=True, slots=True)
class VendorOptions:
    """What settings say about a vendor and its verbs need. `page_limit` None: the vendor's own maximum."""

    base_url: str
    page_limit: int | None = None
    symbols_per_request: int = 1
    tables: Mapping[str, ColumnMapping] = field(default_factory=lambda: MappingProxyType({}))
    zones: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Vendor(Protocol):
    """Pure functions of their arguments: no clock, no network, no logging of bodies."""

    NAME: str
    BASE_URL: str

    def plan(self, spec: JobSpec, options: VendorOptions) -> list[Request]:
        """Splits a wish into requests such that no reply is cut silently. Deterministic. Raises PlanError."""
        ...

    def build_request(self, request: Request, options: VendorOptions) -> HttpRequest:
        """The call for a request, without its key."""
        ...

    def read_reply(self, request: Request, reply: HttpReply, options: VendorOptions) -> Page:
        """Reads and validates a reply. Raises the error tree of `marketfetch/vendors/errors.py`."""
        ...
