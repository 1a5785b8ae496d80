"""The files of deploy/ for Prometheus and Grafana: checked by promtool, and every metric that they name is exported."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import yaml

from marketfetch.ops.measures import MEASURES, PREFIX

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "marketfetch.rules.yml"
TESTS = RULES.with_name("marketfetch.tests.yml")
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "marketfetch.json").read_text(encoding="utf-8"))
EXPORTED = {one.exported for one in MEASURES}
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def rules() -> list[dict]:
    return [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def named(text: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}[a-z_]+", text))


def promtool(*arguments: str, folder: Path = RULES.parent) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_accepts_the_seven_rules_and_their_tests_pass():
    assert "7 rules found" in promtool("check", "rules", "--lint-fatal", RULES.name)
    assert "SUCCESS" in promtool("test", "rules", TESTS.name)


def test_promtool_reads_every_expression_of_the_dashboard(tmp_path):
    exprs = [one.replace("$__rate_interval", "5m").replace("$provider", ".*") for one in expressions()]
    recorded = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(exprs)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    assert f"{len(exprs)} rules found" in promtool("check", "rules", "panels.yml", folder=tmp_path)


def test_every_metric_that_a_rule_names_is_exported_with_its_labels():
    labels = {one.exported: {*one.labels, "instance", "job"} for one in MEASURES}
    for rule in rules():
        assert named(rule["expr"]), rule
        assert named(rule["expr"]) <= EXPORTED, rule
        used = {label for some in re.findall(r"by \(([a-z, ]+)\)", rule["expr"]) for label in some.split(", ")}
        assert used <= set.union(*(labels[one] for one in named(rule["expr"]))), rule
    assert named(TESTS.read_text(encoding="utf-8")) <= EXPORTED


def test_the_dashboard_shows_every_metric_and_no_other():
    assert named(" ".join(expressions())) == EXPORTED
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_alert_has_a_severity_a_duration_and_a_place_in_the_operations_page():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["for"]
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert f"\n### {rule['alert']}\n" in OPERATIONS
        severity, after = rule["labels"]["severity"], rule["for"].replace("m", " min").replace("h", " h")
        assert re.search(rf"^\| `{rule['alert']}` \| {severity} \| .* \| {after} \|$", page, flags=re.MULTILINE), rule["alert"]
    assert len(re.findall(r"^### Marketfetch\w+$", OPERATIONS, flags=re.MULTILINE)) == len(rules()) == 7
