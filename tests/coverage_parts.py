"""`python -m tests.coverage_parts`: deletes the data of processes that were killed while they wrote it.

coverage writes without a journal, so such a file is malformed; and combining it, also without one, spoils what has been
combined before: all figures would be lost for the one of a process that a test killed.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def is_whole(file: Path) -> bool:
    """True if every page of the database and every row can be read."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    except sqlite3.Error:
        return False


def delete_broken(folder: Path) -> tuple[int, int]:
    """How many files there are, and how many of them were broken and are deleted."""
    parts = sorted(folder.glob(".coverage.*"))
    broken = [one for one in parts if not is_whole(one)]
    for one in broken:
        one.unlink()
    return len(parts), len(broken)


if __name__ == "__main__":
    many, deleted = delete_broken(Path.cwd())
    print(f"coverage of {many:,} processes; {deleted} were killed while they wrote it, which is left out")
