"""Code outside a vendor's folder names no vendor: not in a value, not in a message, not in a comment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marketfetch.vendors import names, vendor

ROOT = Path(__file__).parents[2]
#: Examples that a help ends with are documentation: they name vendors, as the docs do.
EXAMPLES = ROOT / "marketfetch" / "cli" / "help_ends.py"
#: The sandbox simulates three vendors, so it names them.
FILES = [
    path
    for folder in ("marketfetch", "tasks")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file()
    and path != EXAMPLES
    and path.suffix not in (".pyc", ".example")
    and "sandbox" not in path.relative_to(ROOT).parts[:2]
]
#: Polygon was renamed to Massive, Nasdaq Data Link was Quandl.
WORDS = re.compile(r"alpha.?vantage|polygon|massive|nasdaq|quandl", re.IGNORECASE)


def test_there_are_files_to_look_at():
    assert {path.suffix for path in FILES} >= {".py", ".lua"}
    assert len(FILES) > 100


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_of_the_core_or_of_the_tasks_names_no_vendor(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if WORDS.search(line)] == []


@pytest.mark.parametrize("name", ["alpha_vantage", "nasdaq", "polygon"])
def test_a_vendors_folder_names_no_other_vendor(name):
    others = "|".join({"alpha_vantage": "alpha.?vantage", "nasdaq": "nasdaq", "polygon": "polygon|massive"}[one] for one in
                      ("alpha_vantage", "nasdaq", "polygon") if one != name)  # fmt: skip
    for path in (ROOT / "providers" / name).glob("*.py"):
        assert re.findall(others, path.read_text(encoding="utf-8"), re.IGNORECASE) == [], path.name


@pytest.mark.parametrize("name", names())
def test_every_vendor_has_its_task_and_its_queue(name):
    from tasks import app, fetch

    task = getattr(fetch, name)
    assert task.name == f"tasks.fetch.{name}"
    assert vendor(name).title in task.__doc__
    assert app.conf.task_routes[task.name] == {"queue": f"fetch.{name}"}
    assert f"fetch.{name}" in {queue.name for queue in app.conf.task_queues}
