"""`marketfetch vendors` and `marketfetch datasets` list what there is, without settings, Celery, Redis or a network."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from marketfetch.vendors import names, vendor

LOADED = (
    "import sys; from marketfetch.cli.main import marketfetch;"
    "marketfetch([{command!r}], standalone_mode=False);"
    "print('loaded:', *sorted({{'celery', 'kombu', 'redis', 'numpy', 'requests'}} & set(sys.modules)), file=sys.stderr)"
)


def test_the_vendors_are_listed_with_the_limits_of_each_plan_and_where_they_are_published(shell: Any) -> None:
    done = shell.run("vendors", LOG__LEVEL="no-such-level")
    assert done.returncode == 0, done.stderr
    for name in names():
        one = vendor(name)
        assert f"\n{name} " in f"\n{done.stdout}"
        for plan, value in one.plans.items():
            (line,) = [text for text in done.stdout.splitlines() if text.startswith(f"plan {plan} ") and value.source in text]
            assert all(limit in line for limit in value.limits)
            assert f"read in {value.read_on}" in line
        for form in one.symbol_forms:
            assert f"{form.kind} {', '.join(form.examples)}" in done.stdout
        for variable in one.key_variables:
            assert variable in done.stdout
        (symbols,) = [line for line in _part(done.stdout, name) if line.startswith("symbols ")]
        forms = symbols.removeprefix("symbols ").strip().split("; ")
        assert len(forms) == len(set(forms)), "a form that several datasets have is listed once"
    assert list(shell.folder.iterdir()) == []


def _part(text: str, name: str) -> list[str]:
    """The lines of a vendor."""
    return next(part.splitlines() for part in text.split("\n\n") if part.startswith(f"{name} "))


def test_the_datasets_of_a_vendor_are_listed_and_those_of_the_others_are_not(shell: Any) -> None:
    lines = shell.run("datasets", "alpha_vantage").stdout.splitlines()
    assert lines[0].split() == ["vendor", "dataset", "what", "timespans", "adjustments", "symbols"]
    assert [line.split()[:2] for line in lines[1:]] == [["alpha_vantage", one.name] for one in vendor("alpha_vantage").datasets]
    (fx,) = [line for line in lines if line.split()[1] == "fx"]
    assert "1m, 5m, 15m, 30m, 1h, 1d, 1w, 1mo" in fx
    assert fx.split("1mo")[1].split() == ["raw", "FX", "EUR/USD"]
    (splits,) = [line for line in lines if line.split()[1] == "splits"]
    assert splits.endswith("no bars: table splits")


def test_both_are_one_json_document_that_says_everything_of_the_vendor_value(shell: Any) -> None:
    found = {one["name"]: one for one in json.loads(shell.run("vendors", "--json").stdout)["vendors"]}
    assert tuple(found) == names()
    flat = json.loads(shell.run("datasets", "--json").stdout)["datasets"]
    for name in names():
        one = vendor(name)
        assert {plan["name"]: (tuple(plan["limits"]), plan["source"], plan["read_on"]) for plan in found[name]["plans"]} == {
            plan: (value.limits, value.source, value.read_on) for plan, value in one.plans.items()
        }
        assert [(each["name"], tuple(each["timespans"]), tuple(each["adjustments"])) for each in found[name]["datasets"]] == [
            (each.name, each.timespans, each.adjustments) for each in one.datasets
        ]
        of_it = [each for each in flat if each["vendor"] == name]
        assert [{"vendor": name, **each} for each in found[name]["datasets"]] == of_it
        assert [tuple(form["examples"]) for form in found[name]["symbols"]] == [form.examples for form in one.symbol_forms]


def test_an_unknown_vendor_is_guessed(shell: Any, one_sentence: Any) -> None:
    assert "There is no vendor 'polygn'. Did you mean 'polygon'?" in one_sentence(shell.run("datasets", "polygn"), code=2)


@pytest.mark.parametrize("command", ["vendors", "datasets"])
def test_neither_loads_celery_a_client_of_redis_or_numpy(shell: Any, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(command=command)],
        cwd=shell.folder, env=shell.environment({}), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "loaded:"
