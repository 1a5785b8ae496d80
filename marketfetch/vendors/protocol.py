"""The Vendor value: an entry point of the vendor's package names it, and it holds everything about the vendor.

    VENDOR = Vendor(name="acme", title="Acme Prices", options=AcmeOptions, plan=plan, ...)

docs/add-a-vendor.md builds one step by step; `conformance.py` next to this file tests a vendor against this contract.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from marketfetch.schemas.job_spec import PROVIDER_NAME, JobSpec
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment, Timespan
from marketfetch.vendors.finality import Finality
from marketfetch.vendors.http import HttpReply, HttpRequest

if TYPE_CHECKING:
    from marketfetch.schemas.page import Page  # imports numpy, which planning does not need

#: A URL that a path can be appended to. It names no user: HTTP would send that beside the key, or instead of it.
BASE_URL: Final = r"^https?://[^\s?#/@]+(/[^\s?#]*)?$"


class VendorOptions(BaseModel):
    """The settings that a vendor's functions take: the section `[providers.<name>]` without the keys.

    A vendor subclasses it with a default for `base_url`, and with options of its own, each with a default. `page_limit` is the
    number of rows per page; None means the vendor's maximum. `final_after_minutes` is how long after the end of its session the
    vendor may still change a bar, or not have it yet; a vendor that publishes a figure has it as the default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    base_url: str = Field(pattern=BASE_URL)
    page_limit: int | None = Field(default=None, ge=1, le=50_000)
    final_after_minutes: int = Field(default=1_440, ge=0, le=43_200)


@dataclass(frozen=True, slots=True)
class Plan:
    """The limits of one key under a published plan, in the notation of settings ("5/minute", "25/day@America/New_York").

    `source` is the URL where the vendor publishes it, `read_on` the month of that page (YYYY-MM). `concurrency` is the maximum
    of concurrent calls with a key; None means no maximum.
    """

    limits: tuple[str, ...]
    source: str
    read_on: str
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A named dataset of the vendor: bars of these timespans and adjustments, or records of a kind of record_kinds.py.

    `name` is the same at every vendor (splits, dividends); `aliases` are the vendor's own. `records` "" beside no timespan: a
    saved response of it can be read, and it is not fetched. `whole_market`: one call brings every symbol, one session of them
    where it has bars, so that "*" is its only symbol, and stands for all of them. `rows`: about how many such a call brings.
    `by_range`: a list may be asked for as a whole, or the rows of a range of its own days, of a symbol, or of all ("*").

    `from_files`: a request is a file of the vendor's S3 service (see file_service.py). A file appears when its bars are final,
    and is not asked for before. Its pages are parts of it, of at most `most_rows` rows each, and one call brings all of them.
    """

    name: str
    title: str
    timespans: tuple[Timespan, ...] = ()
    adjustments: tuple[Adjustment, ...] = ()
    records: str = ""
    aliases: tuple[str, ...] = ()
    whole_market: bool = False
    rows: int = 0
    by_range: bool = False
    from_files: bool = False
    most_rows: int | None = None

    @property
    def has_bars(self) -> bool:
        return bool(self.timespans)


@dataclass(frozen=True, slots=True)
class MarketWay:
    """Another way to the bars of many symbols: `dataset`, one call of which brings a session of the whole market.

    Its rows are stored as the same series as those of the calls by symbol, under the same symbols. The planner chooses it where
    it is fewer calls, for symbols that it `serves` and sessions whose close is `after_close_minutes` ago or longer. A symbol
    that a reply lacks is asked for by itself later.
    """

    dataset: str
    serves: Callable[[str], bool]
    after_close_minutes: int


@dataclass(frozen=True, slots=True)
class SymbolForm:
    """Example symbols of a kind of instrument (stock, share class, index, option, FX, crypto, series).

    Each example can be fetched with this `dataset` and `timespan`.
    """

    kind: str
    examples: tuple[str, ...]
    dataset: str = "bars"
    timespan: Timespan = "1d"


Options = TypeVar("Options", bound=VendorOptions)


def _says_nothing(_options: VendorOptions) -> tuple[str, ...]:
    return ()


def _no_adjustment(_dataset: str, _timespan: Timespan) -> Adjustment | None:
    return None


def _as_asked(request: Request, _options: VendorOptions) -> tuple[Adjustment, ...]:
    return (request.adjustment,)


def _no_market_ways(
    _dataset: str, _timespan: Timespan, _adjustment: Adjustment, _options: object, _plan: str
) -> tuple[MarketWay, ...]:
    return ()


def _no_objection(spec: JobSpec, options: VendorOptions) -> None:
    """The `check_wish` of a vendor that sends every wish as it is written."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vendor(Generic[Options]):
    """One vendor. The functions are pure: no clock, no network, no logging of bodies.

    `name` is part of commands, settings, tasks (`tasks.fetch.<name>`) and queues (`fetch.<name>`). The first of `plans` is the
    default of a key. `most_rows` is the most rows that a response can have: the page limit, or the longest history where there
    are no pages; a response above it fails, and is never cut to size. `pages_in_order`: a next page begins behind the last bar
    of the page before it (see `page_chain.py`). Importing a vendor must be cheap: `read_reply` imports numpy when it runs.
    """

    name: str
    title: str
    documentation: str
    options: type[Options]
    plans: Mapping[str, Plan]
    datasets: tuple[Dataset, ...]
    symbol_forms: tuple[SymbolForm, ...]
    #: Returns the IANA zone whose midnight begins a daily bar of this request.
    zone: Callable[[Request, Options], str]
    #: Splits a wish into requests such that no response is silently truncated. Deterministic. Raises PlanError.
    plan: Callable[[JobSpec, Options], list[Request]]
    #: Builds the call for a request, without its key. Raises PlanError.
    build_request: Callable[[Request, Options], HttpRequest]
    #: Decodes and validates a response. Raises the error tree of `errors.py`.
    read_reply: Callable[[Request, HttpReply, Options], Page]
    #: Returns when the bars of this request are final. None: `final_after_minutes` after the end of their day in the zone.
    finality: Callable[[Request, Options], Finality] | None = None
    #: Raises PlanError, with what to write instead, for a new wish that is sure to bring nothing as it is written: a symbol in
    #: another vendor's spelling, a range after the end of a table. Whatever the vendor may know is sent as it is.
    check_wish: Callable[[JobSpec, Options], None] = _no_objection
    #: Returns the adjustment of a new wish that names none, by dataset and timespan: raw for bars where the vendor has it. None
    #: leaves it to `plan`, which also decides for ever what wishes mean that were recorded without an adjustment.
    usual_adjustment: Callable[[str, Timespan], Adjustment | None] = _no_adjustment
    #: Returns the adjustments of the bars that a reply to this request has: a table may have columns of several.
    brings: Callable[[Request, Options], tuple[Adjustment, ...]] = _as_asked
    #: Returns the other ways to bars of this dataset, timespan and adjustment, the preferred one first: where the options have
    #: what they need, under the plan of this name.
    market_ways: Callable[[str, Timespan, Adjustment, Options, str], tuple[MarketWay, ...]] = _no_market_ways
    #: Returns the most rows of a page of the reply to this request; None: `page_limit`, at most `most_rows`.
    rows_per_page: Callable[[Request, Options], int] | None = None
    most_rows: int = 50_000
    pages_in_order: bool = False
    #: Names of the environment's variables in which people have their key for the vendor's own client, the preferred one first.
    #: The first one that is set gives the key, if the settings say nothing about keys.
    key_variables: tuple[str, ...] = ()
    #: Returns sentences about the options for `marketfetch check`, such as what the prices of a mapped table are.
    describe: Callable[[Options], tuple[str, ...]] = _says_nothing

    def __post_init__(self) -> None:
        if not re.fullmatch(PROVIDER_NAME, self.name):
            raise ValueError(f"the name {self.name!r} must be lower-case letters, digits and underscores, at most 32")
        if not self.plans:
            raise ValueError("a vendor has at least one plan: without one its keys would have no limits")
        if not self.symbol_forms or not all(form.examples for form in self.symbol_forms):
            raise ValueError("a vendor has at least one symbol form, and each form has an example")
        for one in self.key_variables:
            if not re.fullmatch(r"[A-Z][A-Z0-9_]*", one) or one.startswith("MARKETFETCH_"):
                raise ValueError(f"the key variable {one!r} must be capitals, digits and underscores, without MARKETFETCH_")

    def page_rows(self, request: Request, options: Options) -> int:
        """Returns the most rows of a page of the reply to this request."""
        if self.rows_per_page is not None:
            return self.rows_per_page(request, options)
        return min(options.page_limit or self.most_rows, self.most_rows)

    def finality_of(self, request: Request, options: Options) -> Finality:
        """Returns when the bars of this request are final: the vendor's word, or a cautious default that knows no sessions."""
        if self.finality is not None:
            return self.finality(request, options)
        return Finality(zone=self.zone(request, options), delay_minutes=options.final_after_minutes, sessions_known=False)
