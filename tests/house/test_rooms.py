"""The rooms of the house: who imports whom, what a file is called, and how long it may be."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from tests.house import drawing
from tests.house.imports import ROOT, circles, graph, reaches

#: Imports inside functions that close a circle, each with its reason.
LAZY_CIRCLES = {
    ("tasks.app", "tasks.announcing"): "failpoints wrap its functions, only in a process that has one armed",
    ("tasks.app", "tasks.storing"): "failpoints wrap its functions, only in a process that has one armed",
    ("tasks.app", "tasks.worker.releaser"): "failpoints wrap its functions, only in a process that has one armed",
}

#: The folders in which a file name stands for one thing.
HOUSES = ("benchmarks", "chaos", "marketfetch", "providers", "tasks")
#: tasks/ repeats these names: a reader who knows the spine knows the system.
SPINE = {"app", "fetch", "store", "attempt", "outcomes", "reference", "jobs"}
#: Names that still stand for two things, each with its reason. An entry that is not needed fails.
SHARED_NAMES = {
    "errors": "marketfetch/vendors/errors.py is the tree of errors; each vendor's errors.py maps replies to it",
}
LONGEST = 400
NO_ROOMS = {"utils", "util", "helpers", "common", "core", "misc"}


def sources(*suffixes: str) -> list[Path]:
    found = [path for house in HOUSES for suffix in suffixes for path in (ROOT / house).rglob(f"*{suffix}")]
    return sorted(path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts)


def test_no_module_imports_itself_through_others():
    assert circles(graph().eager) == []


def test_an_import_in_a_function_closes_no_circle_but_those_with_a_reason():
    found = graph()
    both = {one: found.eager[one] | found.lazy[one] for one in found.eager}
    closing = {(one, other) for one, others in found.lazy.items() for other in others if reaches(both, other, one)}
    assert closing == set(LAZY_CIRCLES)


def test_the_packages_form_no_circle():
    assert circles(drawing.packages()) == []


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_a_file_name_stands_for_one_thing():
    places: dict[str, set[str]] = defaultdict(set)
    for path in sources(".py"):
        folder = path.parent
        if path.name == "__init__.py":
            if folder.parent != Path("providers"):
                places[folder.name].add(str(folder))
        elif path.name != "__main__.py" and not _may_repeat(path):
            places[path.stem].add(str(_folder(path)))
    shared = {name for name, folders in places.items() if len(folders) > 1}
    assert {name: sorted(places[name]) for name in shared if name not in SHARED_NAMES} == {}
    assert set(SHARED_NAMES) - shared == set(), "these names stand for one thing by now: remove them from SHARED_NAMES"


def _may_repeat(path: Path) -> bool:
    in_spine = path.parent == Path("tasks") and path.stem in SPINE
    return in_spine or path.parent == Path("marketfetch/cli")


def _folder(path: Path) -> Path:
    """Vendors' folders are one, and so are the two databases': files of one name are parallel there."""
    if path.parts[0] == "providers":
        return Path("providers/<vendor>")
    if path.parent.name in ("sqlite", "postgres"):
        return path.parent.parent / "<database>"
    return path.parent


def test_no_file_is_too_long():
    lines = {str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in sources(".py", ".lua", ".sql")}
    assert {path: count for path, count in lines.items() if count > LONGEST} == {}, f"over {LONGEST} lines is two files"


def test_a_folder_names_a_part_of_the_field():
    folders = {part for path in sources(".py") for part in path.parts[:-1]}
    assert folders & NO_ROOMS == set()


def test_production_imports_no_simulator():
    importers = {
        one
        for edges in (graph().eager, graph().lazy)
        for one, others in edges.items()
        if any(other.startswith("marketfetch.sandbox") for other in others) and not one.startswith("marketfetch.sandbox")
    }
    assert importers == {"marketfetch.testing.simulated_vendors"}


def test_the_drawing_shows_the_imports_of_today():
    page = drawing.PAGE.read_text(encoding="utf-8")
    assert drawing.with_drawing(page) == page, "run: python -m tests.house.drawing"
    assert drawing.BEGIN in page
