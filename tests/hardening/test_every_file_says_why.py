"""Each file of tasks/hardening/ says what fails without it, where that is shown, what upstream knows, and when it can go."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "tasks" / "hardening").glob("*.py") if path.name != "__init__.py")


def docstring(path: Path) -> str:
    return " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())


def test_the_folder_is_not_empty():
    assert len(FILES) > 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_has_its_three_parts(path):
    text = docstring(path)
    for part in ("What fails without it: ", "Upstream: ", "Delete when: "):
        assert text.count(part) == 1, part
    upstream = text.partition("Upstream: ")[2].partition("Delete when: ")[0]
    assert re.search(r"https://github\.com/celery/\w+/(issues|pull)/\d+", upstream) or "no upstream issue found" in upstream


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_test_that_it_names_exists_and_names_it(path):
    named = re.search(r"(tests/hardening/\w+\.py)::(\w+)", docstring(path))
    assert named, "no test is named"
    source = (ROOT / named[1]).read_text(encoding="utf-8")
    assert f"def {named[2]}(" in source
    assert f"tasks.hardening.{path.stem}" in source or re.search(rf"from tasks\.hardening import .*\b{path.stem}\b", source)
