"""What the DEST of an export means: a file of one format, or a folder. A name that was perhaps meant otherwise is refused."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Final, Literal, get_args

from marketfetch.exceptions import WrongValueError
from marketfetch.suggestions import did_you_mean

Format = Literal["parquet", "csv", "arrow"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)


def format_of(destination: str) -> Format | None:
    """The format that `destination` ends in; None for a folder, which is what every name with a slash at its end is."""
    suffix = _suffix(destination)
    return next((one for one in FORMATS if one == suffix), None)


def refuse_unlikely(destination: str, symbols: Collection[str]) -> None:
    """Raises WrongValueError for a folder without a slash at its end that has a symbol's name, or the ending of a file.

    `symbols` are those of an export of everything: there `AAPL` was perhaps meant as the only one; none where they were named.
    """
    folder = f"For a folder of this name write {destination}/ with the slash."
    if destination in symbols:
        raise WrongValueError(
            f"{destination} is a stored symbol, and the argument is where the bars go: to export this symbol write "
            f"--symbols {destination} {destination}.csv. {folder}"
        )
    suffix = _suffix(destination)
    # A date or a version (bars.2024, v1.5) is no ending.
    if suffix and not suffix[0].isdigit() and format_of(destination) is None:
        meant = did_you_mean(suffix.lower(), FORMATS, as_written=".{}", cutoff=0.5)
        raise WrongValueError(
            f"{destination} ends in .{suffix}, which is no format of an export.{' ' if meant else ''}{meant} A file ends in "
            f".parquet, .csv or .arrow. {folder}"
        )


def _suffix(destination: str) -> str:
    """What follows the last dot of the last name, without the dot; "" for a folder.

    A bucket (s3://my.bucket) and a chain of fsspec's URLs (simplecache::s3://...) may have any dots: there only the ending of a
    format counts.
    """
    if destination.endswith("/"):
        return ""
    _, there, path = destination.rpartition("://")
    suffix = PurePosixPath(path).suffix.removeprefix(".")
    may_have_dots = "::" in destination or (there and "/" not in path)
    return suffix if suffix in FORMATS or not may_have_dots else ""
