"""The reference is complete and true: each name of the code has a sentence in it, and no page names what there is not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

import marketfetch
from marketfetch import setting_faults
from marketfetch.cli.main import marketfetch as command
from marketfetch.settings import model
from marketfetch.storage import open_store
from tests.around.reference import (
    command_entries,
    environment_entries,
    python_entries,
    setting_entries,
    table_entries,
    task_entries,
)
from tests.around.reference.__main__ import PAGES
from tests.around.reference.entry import Entry
from tests.house.imports import ROOT
from tests.waiting import LONG_S

ENTRIES: dict[str, Callable[[], list[Entry]]] = {
    "settings.md": setting_entries.settings,
    "commands.md": command_entries.commands,
    "tasks.md": task_entries.task_names,
    "tables.md": table_entries.tables,
    "environment.md": environment_entries.variables,
    "python.md": python_entries.public_names,
}
WRITTEN = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def names(entries: Iterable[Entry]) -> list[str]:
    return [one.name for one in entries]


@pytest.mark.parametrize("page", ENTRIES)
def test_every_name_stands_once_on_its_page_with_a_sentence(page):
    entries, text = ENTRIES[page](), PAGES[page]()
    assert len(entries) > 5
    assert len(set(names(entries))) == len(entries)
    assert [one.name for one in entries if f"`{one.name}`" not in text] == []
    # A usage line, a signature and a table are no sentence.
    said = {
        one.name: re.sub(r"```.*?```|^`[^`\n]*`$|^\|[^\n]*$", "", one.text, flags=re.MULTILINE | re.DOTALL) for one in entries
    }
    assert [name for name, words in said.items() if len(words.split()) < 3] == []


def test_every_setting_of_the_model_is_on_the_page():
    leaves = {name.replace("__", ".") for name, _ in setting_faults.fields(model())}
    leaves -= {name.rpartition(".")[0] for name in leaves} | {name.rpartition(".")[0].rpartition(".")[0] for name in leaves}
    found = {name for name in names(setting_entries.settings()) if not name.startswith(("schedule.", "notify."))}
    assert found | {"schedule", "notify"} == leaves


def test_every_option_says_what_it_does():
    silent = {
        (words, one.name)
        for words, found in command_entries.walked(command, "marketfetch")
        for one in command_entries.options(found)
        if not one.help
    }
    assert silent == set()


def test_every_table_of_a_database_is_on_the_page_and_no_other(tmp_path):
    with closing(open_store(f"sqlite:///{tmp_path}/bars.db")) as store:
        store.create()
        made = store.database.read(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
        )
        found = {
            entry.name: {column for column, _ in re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|$", entry.text, flags=re.MULTILINE)}
            for entry in table_entries.tables()
        }
        # What only one of the two databases needs, is its own.
        assert {name for (name,) in made} - {"zone_offsets"} == set(found)
        for name, columns in found.items():
            if columns:
                ours = store.database.read("SELECT name FROM pragma_table_info(?)", name)
                assert columns == {column for (column,) in ours}, name


def test_every_public_name_is_on_the_page():
    assert set(names(python_entries.public_names())) == set(marketfetch.__all__)


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_no_page_names_a_variable_that_there_is_not(path):
    known = set(names(environment_entries.variables()))
    named = set(re.findall(r"\bMARKETFETCH_[A-Z][A-Z_0-9]*[A-Z0-9]\b", path.read_text(encoding="utf-8")))
    # Those of tests, of a vendor that a page adds, and of docker-compose.yml are read by no process of ours.
    others = {name for name in named if name.startswith(("MARKETFETCH_TEST_", "MARKETFETCH_PROVIDERS__ACME__"))}
    assert named - known - others - {"MARKETFETCH_FAILPOINT", "MARKETFETCH_IMAGE"} == set()


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "here.md").write_text("# Here\n\n## A heading\n")
    (tmp_path / "docs" / "index.md").write_text("# Start\n\n[a](here.md#a-heading) [b](here.md#nowhere) [c](nowhere.md)\n")
    (tmp_path / "zensical.toml").write_text('[project]\nsite_name = "links"\n')
    zensical = str(Path(sys.executable).with_name("zensical"))
    built = subprocess.run([zensical, "build", "--strict"], cwd=tmp_path, capture_output=True, text=True, timeout=LONG_S)
    assert built.returncode != 0
    assert (built.stderr.count("page does not exist"), built.stderr.count("anchor does not exist")) == (2, 2)
