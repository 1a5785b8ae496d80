"""The figures of `make coverage` outlive a process that was killed while it wrote its own."""

from __future__ import annotations

from pathlib import Path

from coverage import CoverageData

from tests.coverage_parts import delete_broken


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
