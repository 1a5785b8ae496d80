"""Decodes a response of bars into columns: msgspec reads it; if it refuses, pydantic finds the bad rows and the reasons.

`Row` and `Envelope` are the contract of Polygon's responses; pydantic validates against them. Most responses are clean, and
msgspec decodes those in half of `json.loads`' time; it refuses every response that needs pydantic. One function builds the
columns from the rows of either. A test proves that both decode the same bytes to the same bars.

https://massive.com/docs/rest/stocks/aggregates/custom-bars
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Annotated, Any, Final, NotRequired, TypeVar, cast

import msgspec
import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from marketfetch.schemas.bars import BarColumns, Floats, Ints
from marketfetch.schemas.rejects import RejectBook, Rejects
from marketfetch.schemas.request import Request
from marketfetch.schemas.timespans import Adjustment
from marketfetch.vendors.absence import is_absent
from marketfetch.vendors.errors import SuspectEmpty, Unavailable
from marketfetch.vendors.http import HttpReply
from marketfetch.vendors.reply_parsing import not_json
from marketfetch.vendors.reply_size import check_rows

from .datasets import MOST_ROWS
from .errors import WHO, error_in
from .symbol_forms import is_stock_like

#: Polygon's field names and the bar columns they fill, in the order of `_QuickRow`.
FIELDS: Final = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume", "vw": "vwap", "n": "trades"}

#: 2100-01-01. A later `t` is in another unit, or garbage.
LATEST_MS: Final = 4_102_444_800_000

_Number = Annotated[float, Field(strict=True)]


class Row(TypedDict):
    t: Annotated[float, Field(strict=True, ge=-LATEST_MS, le=LATEST_MS, multiple_of=1)]
    #: Absent on a day without a trade; the checks of bars require them on every other day.
    o: NotRequired[_Number]
    h: NotRequired[_Number]
    l: NotRequired[_Number]  # noqa: E741 (the vendor's name)
    c: _Number
    v: NotRequired[_Number]
    vw: NotRequired[_Number]
    n: NotRequired[_Number]


class Envelope(TypedDict):
    status: NotRequired[str | None]
    ticker: NotRequired[str | None]
    adjusted: NotRequired[bool | None]
    resultsCount: NotRequired[int | None]
    queryCount: NotRequired[int | None]
    count: NotRequired[int | None]
    next_url: NotRequired[str | None]
    error: NotRequired[str | None]
    message: NotRequired[str | None]


class _Aggs(Envelope):
    results: NotRequired[list[Any] | None]


AnyRow = TypeVar("AnyRow", bound=Row)

_AGGS: Final = TypeAdapter(_Aggs)
_ROW: Final = TypeAdapter(Row)


@dataclass(frozen=True, slots=True, eq=False)
class Aggs:
    """A decoded response of bars. `envelope` has the fields that are present, without `results`; `null`: `results` is null.

    `bars` have the response's order, each with its row number in `numbers`; `rejects` has the rows that break the contract.
    """

    envelope: Envelope
    bars: BarColumns
    numbers: Ints
    rejects: Rejects = field(default_factory=Rejects)
    null: bool = False

    @property
    def rows(self) -> int:
        """The number of rows in the response, bad rows included."""
        return len(self.numbers) + self.rejects.total


def read_aggs(reply: HttpReply, *, symbol: str) -> Aggs:
    """Decodes the body. Raises Unavailable if it is not JSON, or if anything but rows breaks the contract."""
    return quick(reply.body) or by_contract(reply, symbol=symbol)


def check_envelope(aggs: Aggs, request: Request, reply: HttpReply) -> None:
    """Raises if the response reports an error, does not match the request, or is truncated."""
    body = aggs.envelope
    reason = str(body.get("error") or body.get("message") or "")
    error = error_in(str(body.get("status", "")), reason, reply, symbol=request.symbol)
    if error is not None:
        raise error
    if aggs.null:
        raise SuspectEmpty(
            f"{WHO} returned results:null for {request.symbol}, which happens under load although there is data",
            status=reply.status,
        )
    said = body.get("resultsCount")
    # Extra rows are not truncation; a duplicate row is rejected by itself.
    if said is not None and said > aggs.rows:
        raise Unavailable(f"{WHO} returned {aggs.rows} of {said} bars for {request.symbol}: the response is truncated")
    ticker = body.get("ticker")
    if request.start is not None and ticker and ticker.casefold() != request.symbol.casefold():
        raise Unavailable(f"{WHO} returned bars of another ticker than {request.symbol}: no bar was kept", status=reply.status)


def adjustment_of(envelope: Envelope, request: Request, reply: HttpReply) -> Adjustment:
    """The adjustment of the bars, by the response's own word. Raises Unavailable where the request asked for another one."""
    adjusted = envelope.get("adjusted")
    said: Adjustment = request.adjustment if adjusted is None else "split" if adjusted else "raw"
    if request.start is not None and said != request.adjustment and is_stock_like(request.symbol):
        # As the bars asked for they would be wrong, and as others the days asked for would count as fetched.
        raise Unavailable(
            f"{WHO} returned bars of the adjustment {said} for {request.symbol}, but the request asked for "
            f"{request.adjustment}: no bar was kept",
            status=reply.status,
        )
    return said


class _QuickRow(msgspec.Struct, gc=False):
    t: float
    o: float
    h: float
    l: float  # noqa: E741
    c: float
    v: float = math.nan
    vw: float = math.nan
    n: float = math.nan


class _Quick(msgspec.Struct, gc=False):
    """A clean response. msgspec refuses a null field or a wrong type, and `by_contract` decodes such a response."""

    results: list[_QuickRow]
    status: str | msgspec.UnsetType = msgspec.UNSET
    ticker: str | msgspec.UnsetType = msgspec.UNSET
    adjusted: bool | msgspec.UnsetType = msgspec.UNSET
    resultsCount: int | msgspec.UnsetType = msgspec.UNSET  # noqa: N815 (the vendor's names)
    queryCount: int | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    count: int | msgspec.UnsetType = msgspec.UNSET
    next_url: str | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET
    message: str | msgspec.UnsetType = msgspec.UNSET


_QUICK: Final = msgspec.json.Decoder(_Quick)


def quick(body: bytes) -> Aggs | None:
    """Decodes the response in one pass; returns None if anything about it is unusual, valid or not."""
    # msgspec does not check that skipped text is UTF-8.
    if not body.isascii():
        return None
    try:
        found = _QUICK.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if len(found.results) > MOST_ROWS:
        return None  # The contract counts it, and says so.
    values = chain.from_iterable(map(msgspec.structs.astuple, found.results))
    wide = len(FIELDS) + 1
    table = np.fromiter(values, dtype=np.float64, count=wide * len(found.results)).reshape(-1, wide).T
    if not are_moments(table[0]):
        return None
    envelope = envelope_of(msgspec.structs.asdict(found))
    return Aggs(envelope, bars_of(table), np.arange(len(found.results), dtype=np.int64))


def are_moments(values: Floats) -> bool:
    """True if each is a Unix time in ms."""
    return bool(np.all((np.abs(values) <= LATEST_MS) & (values == np.rint(values))))


def by_contract(reply: HttpReply, *, symbol: str) -> Aggs:
    """Decodes by pydantic: each row that breaks the contract becomes a reject with its reason. Raises Unavailable."""
    try:
        body: dict[str, Any] = {**_AGGS.validate_json(reply.body)}
    except ValidationError:
        raise not_json(reply, who=WHO) from None
    found: list[object] = body.get("results") or []
    check_rows(len(found), most_rows=MOST_ROWS, who=WHO)
    rows, numbers, rejects = rows_by_contract(enumerate(found), _ROW, symbol=symbol)
    # What is absent becomes NaN.
    bars = bars_of([np.array([row.get(name, math.nan) for row in rows], dtype=np.float64) for name in ("t", *FIELDS)])
    null = "results" in body and body["results"] is None
    return Aggs(envelope_of(body), bars, np.array(numbers, dtype=np.int64), rejects, null=null)


def rows_by_contract(
    found: Iterable[tuple[int, object]], row: TypeAdapter[AnyRow], *, symbol: str
) -> tuple[list[AnyRow], list[int], Rejects]:
    """Of these numbered rows those that keep the contract, their numbers, and the others as rejects."""
    book = RejectBook()
    # Row by row: the errors of a whole reply at once would take a thousand times the reply's own bytes.
    rows, numbers = [], []
    for number, one in found:
        try:
            rows.append(row.validate_python(_with_what_is_there(one)))
            numbers.append(number)
        except ValidationError as error:
            book.add(number, *_what_is_bad(error), symbol=symbol)
    return rows, numbers, book.rejects()


def _with_what_is_there(row: object) -> object:
    """The row without the fields that say in one way or another that there is no value."""
    return {name: value for name, value in row.items() if not is_absent(value)} if isinstance(row, dict) else row


def _what_is_bad(error: ValidationError) -> tuple[str, object, str]:
    """Returns field, value and reason of the first error of a row."""
    one = error.errors(include_url=False, include_context=False)[0]
    name = str(one["loc"][0]) if one["loc"] else "row"
    missing = one["type"] == "missing"
    reason = "required field is missing or not a number" if missing or name != "t" else str(one["msg"]).lower()
    return "ts" if name == "t" else FIELDS.get(name, name), "" if missing else one["input"], reason


def bars_of(table: Sequence[Floats] | Floats) -> BarColumns:
    """Builds bars from the columns t, o, h, l, c, v, vw and n."""
    # Contiguous memory, because every later check works column by column.
    columns = {name: np.ascontiguousarray(column) for name, column in zip(FIELDS.values(), table[1:], strict=True)}
    return BarColumns.build(table[0].astype(np.int64), partial=None, **columns)


def envelope_of(fields: dict[str, Any]) -> Envelope:
    kept = {name: value for name, value in fields.items() if name != "results" and value is not msgspec.UNSET}
    return cast(Envelope, kept)  # both readers have checked it
