"""Every check, for every kind of price: a bar that breaks it is a reject, and docs/rows.md names the defect behind it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import numpy as np
import pytest

from marketfetch.schemas.bars import PRICE_COLUMNS, BarColumns
from marketfetch.schemas.check_advice import _ADVICE, _OTHER, advice
from marketfetch.schemas.integrity import check_bars
from marketfetch.schemas.price_rules import PRICE_KINDS, RULES, PriceKind
from tests.house.imports import ROOT

PAGE = (ROOT / "docs" / "rows.md").read_text(encoding="utf-8")
TABLES = PAGE.partition("## The checks")[2].partition("\n## ")[0]
GOOD = {"open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 5.0, "trades": 2.0, "vwap": 10.5}
CODE = [*(ROOT / "marketfetch" / "schemas").glob("*.py"), *(ROOT / "marketfetch" / "vendors").glob("*.py")]
CODE += [*(ROOT / "providers").rglob("*.py")]


def columns(**changed: float) -> BarColumns:
    """A good bar, the changed one, and a good one."""
    values = {name: np.array([good, changed.get(name, good), good]) for name, good in GOOD.items()}
    return BarColumns.build(np.array([1, 2, 3], dtype=np.int64), **values)


def broken(kind: PriceKind) -> Iterator[tuple[str, dict[str, float]]]:
    """What each kind refuses: the reason, and the fields that are changed in a good bar."""
    rule = RULES[kind]
    for name in PRICE_COLUMNS:
        yield "required field is missing or not a number", {name: np.nan}
        for value in (np.inf, *((-1.0,) if rule.positive else ())):
            yield "price is not finite and positive" if rule.positive else "price is not finite", {name: value}
    if np.isfinite(rule.highest):
        yield "price is above 1e+10", {"open": 2e10, "high": 2e10}
    body = "open or close" if rule.close_in_range else "open"
    yield f"low is above {body}", {"low": 10.5}
    yield f"high is below {body}", {"high": 9.5}
    if not rule.close_in_range:
        yield "all prices are 0", dict.fromkeys(PRICE_COLUMNS, 0.0)
    yield "low is above high", {"low": 3.0, "high": 2.0, "open": np.nan, "close": np.nan}
    for name in ("volume", "trades", *(("vwap",) if rule.positive else ())):
        yield f"{name} is negative or not finite", {name: -1.0}
    yield "vwap is negative or not finite", {"vwap": np.inf}
    yield "trades is not a whole number", {"trades": 1.5}


@pytest.mark.parametrize(("kind", "reason", "changed"), [(kind, *one) for kind in PRICE_KINDS for one in broken(kind)], ids=str)
def test_a_bar_that_breaks_one_check_is_the_only_reject(kind, reason, changed):
    required = ("close",) if np.isnan(changed.get("close", 0)) or "open" not in changed else PRICE_COLUMNS
    needed = tuple(name for name in PRICE_COLUMNS if name in changed) if reason.startswith("required") else required
    checked = check_bars(columns(**changed), required=() if reason == "low is above high" else needed, kind=kind)
    assert [(one.row, one.reason) for one in checked.rejects] == [(1, reason)]
    assert checked.bars.ts.tolist() == [1, 3]
    assert named_in_the_page(reason)


def reasons_in_the_code() -> set[str]:
    """The texts that the code gives as reason of a reject or as name of a quirk; {} stands for what is filled in."""
    found: set[str] = set()
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("reject", "add"):
                found |= {text for one in node.args[2:] if " " in (text := _literal(one))}
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("reason", "TWINS_DIFFER"):
                branches = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
                found |= {text for one in branches if " " in (text := _literal(one))}
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Quirk":
                found |= {text for one in node.args[:1] if (text := _literal(one))}
    return found


def _literal(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "{}" for one in node.values)
    return ""


def named_in_the_page(reason: str) -> bool:
    shape = r"[^`]+".join(map(re.escape, reason.split("{}")))
    return re.search(f"`{shape}`", TABLES) is not None


def test_every_reason_in_the_code_stands_in_the_table_of_the_checks():
    found = reasons_in_the_code()
    assert len(found) > 15
    assert {reason for reason in found if not named_in_the_page(reason)} == set()


def test_the_tests_that_the_table_names_are_there():
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", TABLES))
    assert len(named) > 5
    assert {path for path in named if not (ROOT / path).is_file()} == set()


def test_what_to_do_is_known_by_reason():
    reasons = re.findall(r"`([^`]+)`", TABLES)
    assert all(any(reason.startswith(begin) for reason in reasons) for begin, _ in _ADVICE)
    assert advice("volume is negative or not finite") == _OTHER
    assert "map the table's column" in advice("price is not finite and positive")
