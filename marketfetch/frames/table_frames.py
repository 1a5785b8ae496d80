"""An Arrow table as the frame that a caller asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from marketfetch.extras import MissingExtra

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


def frame_of(table: pa.Table, as_: Literal["polars", "pandas", "arrow"]) -> pl.DataFrame | pd.DataFrame | pa.Table:
    """The rows of `table` as a frame of that kind, or the table itself. Raises MissingExtra without pandas."""
    if as_ == "arrow":
        return table
    if as_ == "pandas":
        try:
            import pandas  # noqa: F401 (pyarrow's conversion needs it)
        except ImportError:
            raise MissingExtra("as_='pandas' needs pandas, which is not installed: run `pip install pandas`.") from None
        return table.to_pandas()
    import polars as pl

    return cast("pl.DataFrame", pl.from_arrow(table))
