"""The Helm chart: linted and rendered by Helm's own library, and read as the API of a cluster would read it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml
from celery.bin.worker import worker as celery_worker

from marketfetch import settings
from marketfetch.cli.serve import serve
from tests.around.kubernetes_objects import problems
from tests.imported_later import Later

if TYPE_CHECKING:
    import helm_python
else:
    helm_python = Later("helm_python")

if (sys.platform, platform.machine()) != ("linux", "x86_64"):
    pytest.skip("Helm's library is installed on Linux for x86_64 alone", allow_module_level=True)


CHART = Path(__file__).parents[2] / "deploy" / "helm" / "marketfetch"
SOME: dict[str, Any] = {"limits": {"memory": "1Gi"}}
#: Everything that the chart can make.
ALL: dict[str, Any] = {
    "workers": {
        "all": None,
        "polygon": {"replicas": 3, "concurrency": 4, "queues": ["fetch.polygon", "store"], "resources": SOME},
        "rest": {"replicas": 0, "concurrency": 2, "queues": [], "resources": SOME},
    },
    "masterKey": True,
    "keda": {"enabled": True},
    "flower": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "serve": {"allowHosts": ["data.example"]},
    "settings": {"MARKETFETCH_TIMINGS__CALL": "15"},
    "podLabels": {"team": "data"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "spot", "operator": "Exists"}],
    "imagePullSecrets": [{"name": "registry"}],
}
#: What each part may read; a worker and the web API also have the database and the vendors' keys.
SECRETS = {
    "worker": {"redis-password", "database-password", "marketfetch.toml", "master-key"},
    "serve": {"redis-password", "database-password", "marketfetch.toml", "master-key"},
    "beat": {"redis-password"},
    "flower": {"redis-password", "flower-auth"},
}


def rendered(**values: Any) -> list[dict[str, Any]]:
    with helm_python.Chart.load(CHART) as chart:
        files = chart.render(values, name="mf", namespace="data")
    texts = [text for name, text in files.items() if name.endswith(".yaml")]
    return [one for text in texts for one in yaml.safe_load_all(text) if one]


def deployments(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Part, pod and container of each Deployment."""
    for one in objects:
        if one["kind"] == "Deployment":
            pod = one["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            yield container["name"], pod, container


@pytest.mark.parametrize("values", [{}, ALL], ids=["as shipped", "everything"])
@pytest.mark.parametrize("version", ["v1.27.0", "v1.34.0"])
def test_helm_finds_no_fault(values, version):
    found = helm_python.lint(CHART, values, strict=True, kube_version=version)
    assert found["errors"] == []
    assert [one for one in found["messages"] if one["severity"] > 1] == []


@pytest.mark.parametrize("values", [{}, ALL], ids=["as shipped", "everything"])
def test_a_cluster_would_take_every_object(values):
    objects = rendered(**values)
    assert {f"{one['kind']} {one['metadata']['name']}": problems(one) for one in objects if problems(one)} == {}
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))


def _misspelt(spec):
    spec["template"]["spec"]["containers"][0]["imagePullpolicy"] = "Always"


@pytest.mark.parametrize(
    "spoil",
    [_misspelt, lambda spec: spec.update(replicas="1"), lambda spec: spec.pop("selector")],
    ids=["name", "type", "missing"],
)
def test_a_fault_in_an_object_is_found(spoil):
    (beat,) = (one for one in rendered() if one["metadata"]["name"] == "mf-beat")
    spoil(beat["spec"])
    assert len(problems(beat)) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"redisUrl": "redis://:password@valkey:6379/0"},
        {"settings": {"MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": "main:key"}},
        {"workers": {"all": {"replicas": 1, "concurrency": 0}}},
        {"keda": {"minReplicas": 0}},
        {"replicas": 3},
    ],
)
def test_a_value_that_would_leak_a_secret_or_stop_the_work_is_refused(values):
    with pytest.raises(helm_python.HelmError):
        rendered(**values)


def test_every_pod_is_hardened_and_has_its_secrets_alone():
    parts = set()
    for part, pod, container in deployments(rendered(**ALL)):
        parts.add(part)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert pod["terminationGracePeriodSeconds"] == 45
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert "livenessProbe" in container
        (secret,) = (one["secret"] for one in pod["volumes"] if "secret" in one)
        assert {one["key"] for one in secret["items"]} == SECRETS[part], part
    assert parts == SECRETS.keys()


def test_the_master_key_is_a_file_of_who_reads_the_database_and_of_none_unless_it_is_asked_for():
    for values, expected in (({}, set()), ({"masterKey": True}, {"worker", "serve"})):
        found = set()
        for part, pod, container in deployments(rendered(**values)):
            (secret,) = (one["secret"] for one in pod["volumes"] if "secret" in one)
            named = {one["name"]: one.get("value") for one in container.get("env", ())}
            path = named.get("MARKETFETCH_MASTER_KEY_FILE")
            assert path in (None, "/run/secrets/marketfetch/master-key")
            assert (path is not None) == ({"key": "master-key", "path": "master-key"} in secret["items"]), part
            found |= {part} if path else set()
        assert found == expected


def test_every_setting_is_one_of_ours_and_workers_stop_softly():
    (data,) = (one["data"] for one in rendered(**ALL) if one["kind"] == "ConfigMap")
    assert data.pop("REMAP_SIGTERM") == "SIGQUIT"
    names = {*data} | {one["name"] for _, _, container in deployments(rendered(**ALL)) for one in container.get("env", ())}
    for name in names - {"POD_NAME", "MARKETFETCH_CONFIG"}:
        model: Any = settings.model()
        for part in name.removeprefix("MARKETFETCH_").lower().split("__"):
            assert part in model.model_fields, name
            model = model.model_fields[part].annotation


def test_the_commands_are_those_that_our_programs_take():
    found = {"worker": 0, "serve": 0}
    for part, _, container in deployments(rendered(**ALL)):
        words = [*container["command"], *container.get("args", ())]
        if part == "worker":
            assert words[:4] == ["celery", "-A", "marketfetch", "worker"]
            options = celery_worker.make_parser(click.Context(celery_worker)).parse_args(args=words[4:])[0]
            found[part] += int(options["concurrency"])
        elif part == "serve":
            assert words[:2] == ["marketfetch", "serve"]
            context = serve.make_context("serve", words[2:])
            assert context.params["hosts"] == ("mf-serve", "mf-serve.data.svc", "data.example")
            assert context.params["require_token"] is True
            found[part] += 1
    assert found == {"worker": 6, "serve": 1}


def test_workers_are_scaled_by_the_requests_of_their_queues_that_wait_or_run():
    objects = rendered(**ALL)
    scaled = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "ScaledObject"}
    budgets = {one["metadata"]["name"]: one["spec"] for one in objects if one["kind"] == "PodDisruptionBudget"}
    assert scaled.keys() == budgets.keys() == {"mf-worker-polygon", "mf-worker-rest"}
    assert {one["maxUnavailable"] for one in budgets.values()} == {1}
    (trigger,) = scaled["mf-worker-polygon"]["triggers"]
    assert trigger["metadata"]["query"] == (
        'sum(max by (provider, state) (marketfetch_requests{state=~"parked|granted|running", provider=~"polygon"}))'
    )
    # Who scales is KEDA alone: a number of replicas here would undo it with each upgrade.
    for one in objects:
        if one["kind"] == "Deployment" and one["metadata"]["name"].startswith("mf-worker"):
            assert "replicas" not in one["spec"]
