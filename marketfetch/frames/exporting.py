"""`marketfetch export`: stored bars as files of Parquet, CSV or Arrow, one a series, and a manifest last.

    DEST/provider=P/symbol=S/timespan=1d/adjustment=split/bars.parquet
    DEST/_manifest.json       what is there: the files, and what was asked. Written last, so it says that all of them are there
    DEST/_unfinished.json     the same while the export runs, and after it was stopped: the next one goes on from there

A batch of rows is in memory at a time. The names are those that readers of Hive's layout (polars, DuckDB, Spark) know.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import quote

from marketfetch.exceptions import BadRequestError
from marketfetch.extras import need
from marketfetch.frames.adjusted_bars import adjusted_batches
from marketfetch.frames.adjusting import Adjust, known_actions, tell_of_stale
from marketfetch.frames.choosing import Wish
from marketfetch.frames.date_bounds import Asked, read
from marketfetch.frames.export_names import Format, format_of, refuse_unlikely
from marketfetch.frames.stored_bars import COLUMNS, OF_SERIES, arrow, batches, found, reading, schema, spans
from marketfetch.ops.file_place import FilePlace
from marketfetch.storage.arrow_reading import Span
from marketfetch.storage.stored_series import StoredSeries

if TYPE_CHECKING:
    import pyarrow as pa

#: Reads the bars of series, in batches.
Source = Callable[[Sequence[StoredSeries], Sequence[Span]], "Iterator[pa.RecordBatch]"]
MANIFEST: Final = "_manifest.json"
UNFINISHED: Final = "_unfinished.json"
#: How often an export that runs writes down what it has finished; a killed one repeats the files of so long.
_NOTE_S: Final = 2.0
_THEN: Final = "The same command goes on where it stopped."


@dataclass(frozen=True, slots=True)
class Exported:
    """`files` are written, `skipped` were there from the run before; `rows` counts those of both.

    `new_folder` is the folder that did not exist before one file was written into it, else "".
    """

    files: int
    skipped: int
    rows: int
    destination: str
    new_folder: str = ""


def export(
    destination: str,
    asked: Wish,
    *,
    to: Format | None = None,
    start: Asked = None,
    end: Asked = None,
    overwrite: bool = False,
    adjust: Adjust | None = None,
    told: Callable[[int, int, StoredSeries], None] = lambda _done, _all, _series: None,
) -> Exported:
    """Writes the bars that are asked for. A `destination` with a format's ending (`bars.parquet`) is one file of that format.

    Every other one is a folder, unless its name is perhaps a slip (`export_names`). `to` None is the format of the ending, else
    Parquet. After an interruption the same call goes on; what is finished is skipped. `overwrite` removes an older export
    first. `adjust`: the raw series of `asked`, adjusted. `told` hears of each series before it is read. Raises BadRequestError,
    UnavailableError.
    """
    need("pyarrow", "fsspec", for_what="`marketfetch export`")
    named = format_of(destination)
    if to is not None and named not in (None, to):
        raise BadRequestError(f"{destination} ends in .{named}, and --to says {to}: leave --to out, or write another name.")
    to = to or named or "parquet"
    first, last = read(start, end)
    with reading() as store:
        driver = "postgresql" if store.database.spelling.folder == "postgres" else "sqlite"
        need(f"adbc_driver_{driver}", for_what="`marketfetch export`")
        series = found(store, asked)
        refuse_unlikely(destination, {one.symbol for one in series} if asked.symbols is None else ())
        if adjust:
            series = [replace(one, adjustment=adjust.adjustment) for one in series]
        ranges = spans(series, first, last)
        if adjust:
            known_actions(store, series, adjust)  # whatever is missing is said before a file is written
        elif any(one.adjustment != "raw" for one in series):
            tell_of_stale(store, series)
        with arrow(store) as database:

            def source(some: Sequence[StoredSeries], of_some: Sequence[Span]) -> Iterator[pa.RecordBatch]:
                if adjust:
                    return adjusted_batches(store, database, some, of_some, COLUMNS, adjust)
                return batches(database, some, of_some, COLUMNS)

            if named:
                return _one_file(destination, source, series, ranges, to=to, overwrite=overwrite, told=told)
            wanted: dict[str, Any] = {
                "format": to,
                "start": str(first) if first else None,
                "end": str(last) if last else None,
                "series": [[getattr(one, name) for name in OF_SERIES] for one in series],
            }
            if adjust:
                wanted |= {"adjust": adjust.to, "as_of": str(adjust.as_of)}
            place = FilePlace(destination, then=_THEN)
            return _folder(place, source, series, ranges, wanted, to=to, overwrite=overwrite, told=told)


def _one_file(
    destination: str,
    source: Source,
    series: Sequence[StoredSeries],
    ranges: Sequence[Span],
    *,
    to: Format,
    overwrite: bool,
    told: Callable[[int, int, StoredSeries], None],
) -> Exported:
    folder, slash, name = destination.rpartition("/")
    place = FilePlace(f"{folder}{slash}" or ".", then=_THEN)
    shown = f"{place.shown}{'' if place.shown.endswith('/') else '/'}{name}" if slash else name
    if place.exists(name) and not overwrite:
        raise BadRequestError(f"{shown} is there already: name another file, or write --overwrite.")
    told(0, 1, series[0])
    new_folder = place.shown if place.is_new_folder() else ""
    with place.replacing(name) as file:
        rows, _ = _write(file, source(series, ranges), to)
    return Exported(1, 0, rows, shown, new_folder)


def _folder(
    place: FilePlace,
    source: Source,
    series: Sequence[StoredSeries],
    ranges: Sequence[Span],
    wanted: dict[str, Any],
    *,
    to: Format,
    overwrite: bool,
    told: Callable[[int, int, StoredSeries], None],
) -> Exported:
    done = _begun(place, wanted, overwrite=overwrite)
    skipped = len(done)
    noted = time.monotonic()
    try:
        for number, (one, span) in enumerate(zip(series, ranges, strict=True)):
            name = _name(one, to)
            if name in done:
                continue
            told(number, len(series), one)
            with place.replacing(name) as file:
                rows, (first, last) = _write(file, source([one], [span]), to)
            done[name] = {"file": name, "rows": rows, "first_ts": first, "last_ts": last}
            if time.monotonic() - noted > _NOTE_S:
                place.write(UNFINISHED, wanted | {"files": list(done.values())})
                noted = time.monotonic()
    except BaseException:
        with contextlib.suppress(Exception):
            place.write(UNFINISHED, wanted | {"files": list(done.values())})
        raise
    rows = sum(one["rows"] for one in done.values())
    place.remove_unfinished()
    finished = {"finished_at": datetime.now(UTC).isoformat(timespec="seconds"), "rows": rows, "files": list(done.values())}
    place.write(MANIFEST, wanted | finished)
    place.remove([UNFINISHED])
    return Exported(len(done) - skipped, skipped, rows, place.shown)


def _begun(place: FilePlace, wanted: dict[str, Any], *, overwrite: bool) -> dict[str, dict[str, Any]]:
    """What an earlier run of this export has finished, by name. Raises BadRequestError where another export stands."""
    manifest, unfinished = place.read(MANIFEST), place.read(UNFINISHED)
    if overwrite:
        place.remove(
            [MANIFEST, *(one["file"] for found in (manifest, unfinished) if found for one in found["files"]), UNFINISHED]
        )
        manifest = unfinished = None
    if manifest is not None:
        raise BadRequestError(
            f"{place.shown} has a whole export of {manifest['finished_at']} already: name another place, or write --overwrite."
        )
    if unfinished is not None and any(unfinished.get(name) != value for name, value in wanted.items()):
        raise BadRequestError(
            f"{place.shown} has an unfinished export that asked for something else, or other series are stored since: "
            "name another place, or write --overwrite."
        )
    place.write(UNFINISHED, wanted | {"files": unfinished["files"] if unfinished else []})
    return {one["file"]: one for one in unfinished["files"] if place.exists(one["file"])} if unfinished else {}


def _name(one: StoredSeries, to: Format) -> str:
    """The path of a series' file. Signs of a symbol that a path or a pattern would understand are percent-encoded."""
    return "/".join([*(f"{name}={quote(getattr(one, name), safe='')}" for name in OF_SERIES), f"bars.{to}"])


def _write(file: IO[bytes], found: Iterator[pa.RecordBatch], to: Format) -> tuple[int, tuple[int | None, int | None]]:
    """Writes the batches; the number of rows, and the first and the last `ts` in Unix ms."""
    rows, first, last = 0, None, None
    with closing(writer(file, to, schema(COLUMNS))) as into:
        for batch in found:
            into.write_batch(batch)
            rows += batch.num_rows
            ts = batch.column("ts")
            first, last = ts[0].value if first is None else first, ts[-1].value
    return rows, (first, last)


def writer(file: IO[bytes], to: Format, types: pa.Schema) -> Any:
    """What writes batches with these columns into a file, and ends it when it is closed."""
    import pyarrow as pa

    if to == "parquet":
        from pyarrow import parquet

        return parquet.ParquetWriter(file, types, compression="zstd")
    if to == "csv":
        from pyarrow import csv

        return csv.CSVWriter(file, types)
    return pa.ipc.new_file(file, types)
