"""`python -m tests.coverage_shares`: which share of its lines and branches each package takes; fails below 95 % of branches.

coverage's own total counts lines and branches together, of which the lines are the larger and easier part.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from coverage import Coverage

PACKAGES: Final = ("marketfetch", "providers", "tasks")
LEAST: Final = 95.0


def shares(files: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Percent of the lines and of the branches of each package, from the files of coverage's JSON report."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for name, one in files.items():
        counts[Path(name).parts[0]].update({key: value for key, value in one["summary"].items() if isinstance(value, int)})
    return {
        package: (
            100 * found["covered_lines"] / max(1, found["num_statements"]),
            100 * found["covered_branches"] / max(1, found["num_branches"]),
        )
        for package in PACKAGES
        if (found := counts[package])
    }


def main() -> int:
    """Prints a line for each package; 1 if one misses the target."""
    measured = Coverage()
    measured.load()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "coverage.json"
        measured.json_report(outfile=str(file), include=[f"{one}/*" for one in PACKAGES], ignore_errors=True)
        found = shares(json.loads(file.read_text(encoding="utf-8"))["files"])
    for package, (lines, branches) in found.items():
        print(f"{package}: {lines:.1f} % of lines, {branches:.1f} % of branches")
    low = [package for package in PACKAGES if found.get(package, (0.0, 0.0))[1] < LEAST]
    if low:
        print(f"less than {LEAST:g} % of the branches of {', '.join(low)}")
    return int(bool(low))


if __name__ == "__main__":
    sys.exit(main())
