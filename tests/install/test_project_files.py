"""What a stranger expects of a project: a licence, a way to report, a changelog in groups, the checks of CI before a commit."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_licence_is_apache_2_whole_and_named_in_the_project():
    assert PROJECT["license"] == "Apache-2.0"
    licence = text("LICENSE")
    assert licence.split()[:6] == ["Apache", "License", "Version", "2.0,", "January", "2004"]
    assert re.findall(r"^   (\d)\. ", licence, flags=re.MULTILINE) == [str(number) for number in range(1, 10)]
    assert "END OF TERMS AND CONDITIONS" in licence


def test_the_security_policy_says_how_to_report_and_which_versions_are_fixed():
    policy = text("SECURITY.md")
    for title in ("## How to report", "## Supported versions"):
        assert title in policy
    assert f"| {'.'.join(PROJECT['version'].split('.')[:2])}.x | yes |" in policy


def test_the_changelog_is_grouped():
    sections = re.split(r"^## ", text("CHANGELOG.md"), flags=re.MULTILINE)[1:]
    assert [one.split("\n")[0] for one in sections] == ["Unreleased", PROJECT["version"]]
    for section in sections:
        groups = re.findall(r"^### (\w+)$", section, flags=re.MULTILINE)
        order = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
        assert groups == [one for one in order if one in groups]
        first, *_ = section.partition("### ")
        assert not re.findall(r"^- ", first, flags=re.MULTILINE), "every entry stands in a group"


def test_the_public_ci_is_a_workflow_that_runs_what_a_contributor_runs_on_every_supported_python():
    name = ".github/workflows/ci.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    job = yaml.safe_load(text(name))["jobs"]["check"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert job["steps"][-1] == {"run": "bash .ci/run"}
    assert PROJECT["requires-python"] == ">=3.11"


@pytest.fixture(scope="module")
def hooks():
    (repository,) = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local", "the pinned tools of constraints.txt, and no second copy of them"
    return repository["hooks"]


def test_a_commit_is_checked_by_what_ci_runs(hooks):
    """The commands of `make lint types contracts`, which `.ci/run` begins with."""
    assert "make lint types contracts" in text(".ci/run")
    recipes = re.findall(r"@\$\(BIN\)/((?:ruff|mypy|lint-imports)[^\n]*)", text("Makefile"))
    commands = {part.strip().removeprefix("$(BIN)/").removesuffix(" .") for line in recipes for part in line.split("&&")}
    assert {hook["entry"].removeprefix(".venv/bin/") for hook in hooks} == commands
    assert {hook["language"] for hook in hooks} == {"system"}


def test_every_dependency_is_pinned():
    pinned = {re.split(r"==", line)[0].lower().replace("_", "-") for line in text("constraints.txt").splitlines()[1:]}
    extras = PROJECT["optional-dependencies"]
    wanted = [one for found in (PROJECT["dependencies"], *extras.values()) for one in found]
    names = {re.split(r"[\[<>=]", one)[0].lower().replace("_", "-") for one in wanted} - {"marketfetch"}
    assert sorted(names - pinned) == []
