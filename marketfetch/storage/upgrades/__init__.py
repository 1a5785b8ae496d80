"""The steps from each schema version to the next, one numbered `.sql` file per step and database.

How a change of the tables adds a step: write `sqlite/<n>.sql` and `postgres/<n>.sql`, where n is the new version, with the
statements that turn tables of version n - 1 into those of n; change both `schema.sql` files to what a new database gets, and
raise SCHEMA_VERSION in `storage/schema.py` to n. Columns are appended, so that a new table and an upgraded one have the same
order. Do not write the version itself: the upgrade does that in the same transaction. Where releases of schema n - 1 can go on
using the tables (what is added has a default or may be null, and nothing is taken away), add n - 1 to STILL_USABLE: then
machines may be upgraded one by one. Record the tables of version n, with rows, in
`tests/recordings/databases/schema_<n>.sqlite.sql` and `….postgres.sql`: the tests upgrade every recorded version, and compare
what comes out with a new database. A step is never edited once it is released, since databases exist that it has made.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

from marketfetch.storage.statements import script

#: The schemas whose releases go on using the tables after the step to the next one. `schema_version` keeps their rows.
STILL_USABLE: Final = frozenset({2, 3, 4})


def step(folder: str, version: int) -> list[str]:
    """The statements that make tables of `version` of those of the version before; empty where there is no such step."""
    file = resources.files(__package__ or "").joinpath(folder, f"{version}.sql")
    return script(file.read_text(encoding="utf-8")) if file.is_file() else []
