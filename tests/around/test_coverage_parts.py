"""The figures of `make coverage`: they outlive a process that was killed while it wrote its own, and count branches apart."""

from __future__ import annotations

from pathlib import Path

from coverage import CoverageData

from tests.coverage_parts import delete_broken
from tests.coverage_shares import shares


def written(folder: Path, name: str) -> Path:
    """The data of a process that went through 2,000 lines of each of ten files."""
    data = CoverageData(basename=str(folder / f".coverage.{name}"))
    data.add_arcs({f"/module_{number}.py": {(line, line + 1) for line in range(2_000)} for number in range(10)})
    data.write()
    return folder / f".coverage.{name}"


def test_a_part_that_is_cut_or_holed_is_left_out_and_the_others_are_kept(tmp_path):
    whole, cut, holed = (written(tmp_path, name) for name in ("whole", "cut", "holed"))
    body = cut.read_bytes()
    cut.write_bytes(body[: len(body) // 2])
    middle = len(body) // 2 // 4096 * 4096
    holed.write_bytes(body[:middle] + bytes(4096) + body[middle + 4096 :])
    (tmp_path / ".coverage.empty").touch()
    assert delete_broken(tmp_path) == (4, 2)  # an empty file is an empty database
    assert whole.exists()
    assert not cut.exists()
    assert not holed.exists()


def test_branches_are_counted_apart_from_lines():
    def file(lines: int, branches: int) -> dict[str, dict[str, float]]:
        counts = {"covered_lines": lines, "num_statements": 100, "covered_branches": branches, "num_branches": 10}
        return {"summary": {**counts, "percent_covered": 97.5}}

    found = shares(
        {"tasks/a.py": file(100, 9), "tasks/b/c.py": file(90, 10), "providers/d.py": file(100, 10), "x.py": file(0, 0)}
    )
    assert found == {"tasks": (95.0, 95.0), "providers": (100.0, 100.0)}
