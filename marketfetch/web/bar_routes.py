"""Stored bars by symbol and range, streamed in bounded memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from marketfetch.web.access import OwnReader
from marketfetch.web.bar_formats import FORMATS, Format
from marketfetch.web.bar_reading import BarReader, BarsWish
from marketfetch.web.bodies import symbols_of
from marketfetch.web.call_threads import Calls
from marketfetch.web.problems import Refused
from marketfetch.web.streams import Stream
from marketfetch.web.web_service import calls_of, service_of

router = APIRouter(tags=["bars"])

#: Each has a connection to the database.
MOST_STREAMS: Final = 16
_KINDS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The bars", "content": {one.media_type.partition(";")[0]: {} for one in FORMATS.values()}}
}


@router.get("/bars", response_class=Response, responses=_KINDS, summary="Stored bars")
async def bars(
    request: Request,
    _caller: OwnReader,
    symbols: Annotated[list[str], Query(alias="symbol", description="May be given several times.", min_length=1)],
    start: str | None = None,
    end: str | None = None,
    timespan: str = "1d",
    provider: str | None = None,
    adjustment: str | None = None,
    adjust: str | None = None,
    as_of: str | None = None,
    columns: Annotated[str | None, Query(description="Names with commas between them.")] = None,
    written: Annotated[Literal["json", "ndjson", "csv", "arrow"] | None, Query(alias="format")] = None,
) -> Response:
    """Stored bars by symbol and time, as `marketfetch.bars` returns them: `start` and `end` are dates in the exchange's zone,
    both inclusive, words such as -5d, or moments with a zone. `adjust`: raw prices, adjusted when they are read.

    The format is `format`, or what Accept names. A response that was cut has no last chunk: clients report that as an error.
    """
    service = service_of(request)
    kind = FORMATS[written or _accepted(request.headers.get("accept", ""))]
    names = [one.strip() for one in columns.split(",")] if columns else None

    def opened() -> tuple[BarReader, Format]:
        reader = BarReader(
            BarsWish(symbols_of(symbols), start, end, timespan, provider, adjustment, adjust, as_of, names),
        )
        try:
            return reader, kind(reader.columns)
        except BaseException:
            reader.close()
            raise

    if service.streams >= MOST_STREAMS:
        raise Refused(503, f"{MOST_STREAMS} clients read bars already: ask again later.")
    service.streams += 1
    try:
        reader, form = await service.calls.long(opened)
        parts = _parts(calls_of(request), reader, form)
        first = await anext(parts)  # an error until here is a refusal; later ones cut the response
    except BaseException:
        service.streams -= 1
        raise

    def ended() -> None:
        service.streams -= 1

    return Stream(first, parts, ended=ended, media_type=form.media_type)


async def _parts(calls: Calls, reader: BarReader, form: Format) -> AsyncGenerator[bytes, None]:
    def part() -> bytes | None:
        found = reader.part()
        return None if found is None else form.part(*found)

    try:
        text = form.head()
        while (found := await calls.long(part)) is not None:
            yield text + found
            text = b""
        yield text + form.tail(list(reader.notes))
    finally:
        reader.close()


def _accepted(accept: str) -> str:
    """The first format that the header Accept names; JSON where it names none of ours."""
    named: Sequence[str] = [one.partition(";")[0].strip().casefold() for one in accept.split(",")]
    of_type = {one.media_type.partition(";")[0]: name for name, one in FORMATS.items()}
    return next((of_type[one] for one in named if one in of_type), "json")
