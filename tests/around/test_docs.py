"""The docs are executed: what they name exists, and what exists is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from marketfetch.cli.main import marketfetch
from tests.around import demo_picture, shown_examples
from tests.around.docs_site import OF_THE_ROOT
from tests.around.recordings_page import PAGE, page
from tests.around.reference.__main__ import PAGES as REFERENCE

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def words(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_the_page_of_recordings_says_what_the_readers_say():
    assert words(PAGE) == page(), "run: python -m tests.around.recordings_page"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_file_a_page_names_exists(path):
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_0-9.]*\.(?:py|lua|md|yml|toml|tsv))`", words(path)))
    assert [name for name in named if not (ROOT / name).exists()] == []
    linked = set(re.findall(r"\]\(([^)#:]+)\)", words(path)))
    assert [name for name in linked if not (path.parent / name).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_a_page_shows_is_one_of_ours(path):
    shown = set(re.findall(r"(?:^|`)marketfetch ([a-z]+)", words(path), flags=re.MULTILINE))
    assert shown <= set(marketfetch.commands), path


def test_every_command_is_named_in_the_readme():
    assert [name for name in marketfetch.commands if f"marketfetch {name}" not in words(ROOT / "README.md")] == []


def test_every_way_to_find_a_job_again_is_in_the_readme():
    ways = {"fetch": ("--name", "--tag"), "status": ("--tag", "--mine", "--failed")}
    for command, options in ways.items():
        known = {one for parameter in marketfetch.commands[command].params for one in parameter.opts}
        assert known.issuperset(options), command
        assert [one for one in options if one not in words(ROOT / "README.md")] == [], command


def test_the_glossary_has_the_seven_words():
    glossary = words(ROOT / "docs" / "glossary.md")
    assert all(f"| **{word}**" in glossary for word in ("job", "request", "lane", "lease", "batch", "reject", "ledger"))


#: The words of ours that operations.md uses.
OPERATORS_WORDS = [
    *("parked", "granted", "running", "held", "over", "gate", "releaser", "sweeper", "sweep", "epoch", "pause"),
    *("reservation", "reference", "reserve", "label", "set aside", "dead message", "dead-letter list"),
]


@pytest.mark.parametrize("word", OPERATORS_WORDS)
def test_the_glossary_has_the_words_of_operations(word):
    assert f"**{word}**" in words(ROOT / "docs" / "glossary.md")


def test_every_package_stands_in_the_folder_tour():
    tour = words(ROOT / "docs" / "architecture.md")
    packages = [path.parent.name for path in [*ROOT.glob("*/__init__.py"), *ROOT.glob("marketfetch/*/__init__.py")]]
    beside = ("benchmarks", "chaos", "marketfetch", "tests")
    assert [name for name in packages if name not in beside and f"`{name}/`" not in tour] == []


def test_every_key_in_redis_has_an_owner_in_the_architecture_page():
    tour = words(ROOT / "docs" / "architecture.md")
    for script in (ROOT / "marketfetch" / "quotas" / "lua").glob("*.lua"):
        keys = words(script).partition("-- KEYS")[2].partition("-- ARGV")[0]
        for name in re.findall(r"\b\d (\w+)", keys):
            assert f"`{name}`" in tour or f":{name}`" in tour, (script.name, name)


def test_no_page_is_secret_about_the_decisions():
    """Each has a number of its own. Those that are worked on at the same time take theirs before they land."""
    numbers = [path.name[:4] for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert all(number.isdigit() for number in numbers)
    assert len(numbers) == len(set(numbers)) > 40


def test_every_attack_names_a_test_that_exists():
    page = words(ROOT / "docs" / "security.md").partition("## The wire")[2]
    attacks = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| attack |")]
    assert len(attacks) > 30
    for line in attacks:
        named = re.fullmatch(r".* \| `(tests/[a-z_/]+\.py)(?:::(test_\w+))?` \|", line)
        assert named, f"no test walks this attack: {line}"
        assert (ROOT / named[1]).exists(), line
        assert not named[2] or f"def {named[2]}(" in words(ROOT / named[1]), line


def test_the_picture_of_the_demo_is_drawn_by_its_script_for_both_schemes_and_asks_no_server():
    picture = words(demo_picture.PICTURE)
    assert picture == demo_picture.drawn(demo_picture.text_of(picture)), "run: python -m tests.around.demo_picture"
    assert len(demo_picture.text_of(picture).splitlines()) > 15
    light, _, dark = picture.partition("@media (prefers-color-scheme: dark)")
    for name in set(re.findall(r'class="(demo-(?:r\d+|window|title))"', picture)):
        assert f".{name} {{ fill: #" in light, name
        assert f".{name} {{ fill: #" in dark, name
    assert "prefers-reduced-motion: no-preference" in picture
    assert re.findall(r"<script|@import|url\((?!#)|(?:href|src)=", picture) == []


def test_the_page_of_examples_shows_each_program_as_it_is():
    assert words(shown_examples.PAGE) == shown_examples.page(), "run: python -m tests.around.shown_examples"
    programs = [
        path for path in (ROOT / "examples").rglob("*") if path.suffix in (".py", ".mjs", ".html") and path.stat().st_size
    ]
    page = words(shown_examples.PAGE)
    assert [path for path in programs if str(path.relative_to(ROOT)) not in page] == []
    assert len(shown_examples.shown()) == 7


def test_every_page_is_in_the_navigation_of_the_site_once():
    nav = re.findall(r'"([a-z_/0-9-]+\.md)"', words(ROOT / "zensical.toml"))
    docs = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    needed = {name for name in docs if not name.startswith("decisions/")} | {f"reference/{name}" for name in REFERENCE}
    assert sorted(set(nav)) == sorted(nav)
    assert needed - set(nav) == set(), "give it a place in zensical.toml"
    assert set(nav) <= needed | set(OF_THE_ROOT.values())
