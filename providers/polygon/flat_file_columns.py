"""Decodes the lines of a file into columns: pyarrow where every value is as it should be, else row by row with reasons.

`ticker,volume,open,close,high,low,window_start,transactions`, prices as traded, `window_start` the start of the bar in Unix ns.
https://massive.com/docs/flat-files/stocks/minute-aggregates
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from marketfetch.schemas.bars import BarColumns, Flags, Ints
from marketfetch.schemas.rejects import Rejects
from marketfetch.vendors.columns import parse
from marketfetch.vendors.errors import BadRequest, Unavailable
from marketfetch.vendors.reply_parsing import quoted

from .errors import WHO
from .flat_file_parts import TICKER, Part, names_in

START: Final = "window_start"
#: The vendor's names of the columns, and ours.
FIELDS: Final = MappingProxyType(
    {"volume": "volume", "open": "open", "close": "close", "high": "high", "low": "low", "transactions": "trades"}
)
_NS_PER_MS: Final = 1_000_000
#: One of nineteen digits lies before 2255.
_MOMENT: Final = re.compile(r"-?[0-9]{1,18}|[1-8][0-9]{18}")


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Rows as columns: `names` are the distinct tickers, `codes` the place of each row's ticker among them.

    `bars.ts` is Unix ms; `numbers` are the rows of the file, from 0; `rejects` are the rows that are in no column.
    """

    names: list[str]
    codes: Ints
    bars: BarColumns
    numbers: Ints
    rejects: Rejects

    def take(self, where: Ints | Flags, rejects: Rejects) -> Columns:
        """The rows at these positions, with these rejects."""
        return Columns(self.names, self.codes[where], self.bars.take(where), self.numbers[where], rejects)

    def before(self, row: int) -> Columns:
        """The rows of the file before this one."""
        return self if not len(self.numbers) or self.numbers[-1] < row else self.take(self.numbers < row, self.rejects)


def columns_of(part: Part) -> Columns:
    """Raises BadRequest where a column is missing, Unavailable for what is no CSV."""
    header = names_in(part.header)
    missing = [name for name in (TICKER, *FIELDS, START) if name not in header]
    if missing:
        raise BadRequest(
            f"{WHO}'s file has no column {' and no column '.join(missing)}. Its columns are {quoted(', '.join(header))}; "
            f"none of its rows was read. A release of marketfetch that knows these columns is needed"
        )
    quick = _quick(header, part) if find_spec("pyarrow") else None
    return quick or _by_row(header, part)


def _quick(header: list[str], part: Part) -> Columns | None:
    """Decodes the lines in one pass; None if anything about them is unusual, valid or not."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    wanted = [TICKER, *FIELDS, START]
    if not part.lines or len(set(header)) < len(header):
        return None
    types = {TICKER: pa.dictionary(pa.int32(), pa.string()), START: pa.int64(), **dict.fromkeys(FIELDS, pa.float64())}
    try:
        table = arrow.read_csv(
            pa.py_buffer(part.lines),
            read_options=arrow.ReadOptions(use_threads=False, block_size=len(part.lines) + 1, column_names=header),
            convert_options=arrow.ConvertOptions(column_types=types, include_columns=wanted),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        return None
    ns, tickers = table.column(START), table.column(TICKER).combine_chunks()
    # A line that pyarrow leaves out, an empty one, would give each later row the number of another one.
    lines = part.lines.count(b"\n") + (not part.lines.endswith(b"\n"))
    if ns.null_count or tickers.null_count or len(table) != lines:
        return None
    moments = ns.to_numpy()
    if (moments % _NS_PER_MS).any():
        return None
    floats = {ours: table.column(theirs).to_numpy() for theirs, ours in FIELDS.items()}
    return Columns(
        tickers.dictionary.to_pylist(),
        tickers.indices.to_numpy().astype(np.int64),
        BarColumns.build(moments // _NS_PER_MS, partial=None, **floats),
        np.arange(part.row, part.row + len(table), dtype=np.int64),
        Rejects(),
    )


def _by_row(header: list[str], part: Part) -> Columns:
    """The same, where a value is no number or absent in words of the vendor's: each such row is a reject with its reason."""
    text = io.StringIO(part.lines.decode(errors="replace"), newline="")
    try:
        # The fields of a row that is too short, or too long, may stand in the wrong columns.
        rows = [row if len(row) == len(header) else [""] * len(header) for row in csv.reader(text, strict=True)]
    except csv.Error:
        raise Unavailable(f"{WHO}'s file is no CSV: it has a quotation mark that does not end") from None

    def column(name: str) -> list[str]:
        place = header.index(name)
        return [row[place].strip() for row in rows]

    starts, fields = column(START), {ours: column(theirs) for theirs, ours in FIELDS.items()}
    numbers = range(part.row, part.row + len(rows))
    parsed = parse([_ms(one) for one in starts], starts, fields, rows=numbers)
    tickers = column(TICKER)
    kept: list[Any] = [tickers[number - part.row] for number in parsed.rows.numbers.tolist()]
    names = list(dict.fromkeys(kept))
    place_of = {name: place for place, name in enumerate(names)}
    codes = np.fromiter(map(place_of.__getitem__, kept), dtype=np.int64, count=len(kept))
    return Columns(names, codes, parsed.bars, parsed.rows.numbers, parsed.rejects)


def _ms(text: str) -> int | None:
    """Unix ns as ms; None for what is no such time."""
    ns = int(text) if _MOMENT.fullmatch(text) else None
    return None if ns is None or ns % _NS_PER_MS else ns // _NS_PER_MS
