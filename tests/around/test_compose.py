"""docker-compose.yml holds to the compose schema and to our own promises; nothing here can run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def test_it_is_valid_by_the_compose_specification():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_valkey_forgets_nothing_and_evicts_nothing(compose):
    command = compose["services"]["valkey"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_valkey_asks_for_a_password_that_every_client_gets(compose):
    command = compose["services"]["valkey"]["command"]
    assert command[command.index("--requirepass") + 1].startswith("${VALKEY_PASSWORD:?")
    for name in ("worker", "beat", "flower"):
        assert "${VALKEY_PASSWORD:?" in compose["services"][name]["environment"]["MARKETFETCH_REDIS_URL"]
    assert "ports" not in compose["services"]["valkey"], "only the services of the file reach it"


def test_every_service_has_a_health_check(compose):
    assert set(compose["services"]) == {"valkey", "postgres", "worker", "beat", "flower"}
    assert all("healthcheck" in service for service in compose["services"].values())


def test_ours_wait_for_healthy_servers_and_stop_softly(compose):
    for name in ("worker", "beat", "flower"):
        service = compose["services"][name]
        assert {one["condition"] for one in service["depends_on"].values()} == {"service_healthy"}
        assert service["environment"]["REMAP_SIGTERM"] == "SIGQUIT"
        assert service["image"] == "marketfetch:latest"


def test_flower_asks_for_a_password_and_is_bound_to_this_machine(compose):
    flower = compose["services"]["flower"]
    assert "FLOWER_BASIC_AUTH" in flower["environment"]
    assert all(port.startswith("127.0.0.1:") for port in flower["ports"])


def test_no_secret_stands_in_the_file(compose):
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name or "KEYS" in name or "AUTH" in name:
                assert str(value).startswith("${"), name


def test_every_setting_it_names_is_one_of_ours(compose):
    from marketfetch import settings

    for name in compose["services"]["worker"]["environment"]:
        if name.startswith("MARKETFETCH_"):
            model: Any = settings.model()
            for part in name.removeprefix("MARKETFETCH_").lower().split("__"):
                assert part in model.model_fields, name
                model = model.model_fields[part].annotation


def test_the_image_holds_every_package_of_ours():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    packages = [
        path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name not in ("tests", "benchmarks", "chaos")
    ]
    assert [name for name in packages if f"COPY {name} {name}" not in text] == []
