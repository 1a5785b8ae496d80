"""docker-compose.yml holds to the compose schema and to our own promises; test_containers.py runs its commands as processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OURS = ("worker", "beat", "serve", "flower")


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def test_both_files_are_valid_by_the_compose_specification():
    files = ("docker-compose.yml", "docker/docker-compose.machines.yml")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_valkey_forgets_nothing_and_evicts_nothing_and_refuses_before_it_is_killed(compose):
    valkey = compose["services"]["valkey"]
    for words in ("--appendonly yes", "--maxmemory-policy noeviction", '--maxmemory "$$VALKEY_MAXMEMORY"'):
        assert words in valkey["command"][-1]
    assert (valkey["environment"]["VALKEY_MAXMEMORY"], valkey["mem_limit"]) == (
        "${VALKEY_MAXMEMORY:-768mb}",
        "${VALKEY_MEMORY:-1g}",
    )


def test_every_service_is_hardened_and_has_a_health_check(compose):
    assert set(compose["services"]) == {"valkey", "postgres", *OURS}
    for name, service in compose["services"].items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {"healthcheck", "mem_limit", "pids_limit", "tmpfs"} <= service.keys(), name
        assert not {"privileged", "cap_add", "network_mode", "env_file"} & service.keys(), name


def test_a_service_has_the_secrets_that_it_needs_and_no_other(compose):
    assert {name: set(service["secrets"]) for name, service in compose["services"].items()} == {
        "valkey": {"valkey_password"},
        "postgres": {"postgres_password"},
        "worker": {"valkey_password", "postgres_password", "marketfetch.toml", "master_key"},
        "beat": {"valkey_password"},
        "serve": {"valkey_password", "postgres_password", "marketfetch.toml", "master_key"},
        "flower": {"valkey_password", "flower_auth"},
    }
    assert set(compose["secrets"]) == {"valkey_password", "postgres_password", "flower_auth", "marketfetch.toml", "master_key"}
    for name, service in compose["services"].items():
        path = service.get("environment", {}).get("MARKETFETCH_MASTER_KEY_FILE")
        assert path == ("/run/secrets/master_key" if "master_key" in service["secrets"] else None), name
    assert all(one == {"file": f"./secrets/{name}"} for name, one in compose["secrets"].items())
    assert "secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_no_password_stands_in_a_url_an_environment_or_a_list_of_processes(compose):
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            assert "PASSWORD" not in variable or variable.endswith("_FILE"), (name, variable)
            assert "PASSWORD" not in str(value), (name, variable)
            assert "KEYS" not in variable, "a vendor's keys stand in the worker's marketfetch.toml"
        assert "PASSWORD" not in str(service.get("command")), name
    assert "--requirepass" not in str(compose["services"]["valkey"]["command"])
    assert [name for name in compose["services"] if "ports" in compose["services"][name]] == ["serve", "flower"]


def test_ours_wait_for_healthy_servers_and_stop_softly(compose):
    for name in OURS:
        service = compose["services"][name]
        assert {one["condition"] for one in service["depends_on"].values()} == {"service_healthy"}
        assert service["environment"]["REMAP_SIGTERM"] == "SIGQUIT"
        assert service["image"] == "${MARKETFETCH_IMAGE:-marketfetch:latest}"


def test_flower_and_the_web_api_ask_who_it_is_and_are_bound_to_this_machine(compose):
    flower, serve = compose["services"]["flower"], compose["services"]["serve"]
    assert "--require-token" in serve["command"]
    assert 'FLOWER_BASIC_AUTH="$$(cat /run/secrets/flower_auth)"' in flower["command"][-1]
    assert all(port.startswith("127.0.0.1:") for port in flower["ports"] + serve["ports"])


def test_every_setting_it_names_is_one_of_ours(compose):
    from marketfetch import settings

    named = {name for service in OURS for name in compose["services"][service]["environment"]}
    for name in named - {"MARKETFETCH_CONFIG", "REMAP_SIGTERM"}:
        model: Any = settings.model()
        for part in name.removeprefix("MARKETFETCH_").lower().split("__"):
            assert part in model.model_fields, name
            model = model.model_fields[part].annotation
