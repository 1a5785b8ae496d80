"""`marketfetch check` does once what workers do all the time, says what would stop them, and leaves nothing behind."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from marketfetch.cli import ports
from marketfetch.cli.sandboxed import variables
from marketfetch.local.valkey_server import Valkey, start_valkey
from marketfetch.ops import workers
from marketfetch.ops.finding import Finding, Trial, as_sentence
from marketfetch.storage import open_store
from tests.preloaded import preloaded

SECRET = "checked-s3cr3t"
#: A file may not grow beyond this: the database fits into it, and what a check writes does not.
FULL = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000));"
    "sys.argv = ['marketfetch', 'check', '--json']; from marketfetch.cli.main import main; main()"
)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    with start_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def ready(shell: Any, valkey: Valkey) -> Any:
    """A folder in which everything is configured, and no worker runs."""
    shell.variables |= {"MARKETFETCH_REDIS_URL": valkey.url}
    shell.variables |= variables(dict.fromkeys(("alpha_vantage", "polygon", "nasdaq"), "http://127.0.0.1:1"), label="main")
    return shell


def found(text: str) -> dict[str, dict[str, str]]:
    """Subject -> level -> the last sentence."""
    by_subject: dict[str, dict[str, str]] = {}
    for one in json.loads(text)["findings"]:
        by_subject.setdefault(one["subject"], {})[one["level"]] = one["sentence"]
    return by_subject


def test_everything_is_tried_and_nothing_stays(ready: Any, valkey: Valkey) -> None:
    done = ready.run("check", "--json")
    levels = {subject: set(levels) for subject, levels in found(done.stdout).items()}
    tried = ("redis", "gate", "broker", "results", "database", "folder")
    assert {subject: levels[subject] for subject in tried} == {one: {"ok"} for one in tried}, done.stdout
    assert done.returncode == 0
    with Redis.from_url(valkey.url) as redis:
        assert redis.keys("*") == []
    assert list(ready.folder.iterdir()) == [], "the database is made by the first job or worker"
    made = open_store(f"sqlite:///{ready.folder}/marketfetch.db")
    made.create()
    made.close()
    before = (ready.folder / "marketfetch.db").read_bytes()
    assert "writable: /" in found(ready.run("check", "--json").stdout)["database"]["ok"]
    assert (ready.folder / "marketfetch.db").read_bytes() == before


def test_a_vendor_whose_queue_no_worker_consumes_is_named(ready: Any, valkey: Valkey) -> None:
    with Redis.from_url(valkey.url) as redis:
        workers.beat(redis, "mf:releaser:here:1", ["alpha_vantage", "nasdaq"])
        said = found(ready.run("check", "--json").stdout)["workers"]
        workers.stop_beating(redis, "mf:releaser:here:1")
    assert said["ok"] == "1 ready to fetch."
    assert "No worker is running that consumes the queue fetch.polygon" in said["warning"]


def test_a_users_own_modules_are_imported_and_a_wrong_one_is_named(ready: Any, valkey: Valkey) -> None:
    (ready.folder / "desk.py").write_text("from celery import shared_task\n@shared_task\ndef report(): pass\n")
    app = f"from celery import Celery\napp = Celery('shop', broker={valkey.url!r})\n"
    (ready.folder / "shop.py").write_text(app)
    done = ready.run("check", "--json", INCLUDE="desk, shop, dsk", APP="shop")
    said = found(done.stdout)
    assert done.returncode == 1
    assert said["include"]["ok"] == "Our workers run the tasks of desk: desk.report."
    assert said["include"]["warning"].startswith("shop brings no task that our workers could run")
    assert (
        "There is no module 'dsk', which include names (in the environment: MARKETFETCH_INCLUDE)." in said["include"]["error"]
    )
    assert "shop has the default queue celery in the Redis of marketfetch's workers" in said["app"]["warning"]


def test_modules_of_a_django_project_are_imported_as_a_worker_does(ready: Any) -> None:
    (ready.folder / "site_settings.py").write_text("INSTALLED_APPS = ['django.contrib.contenttypes']\nSECRET_KEY = 'x'\n")
    uses = "from django.contrib.contenttypes.models import ContentType"
    (ready.folder / "desk.py").write_text(f"{uses}\nfrom celery import shared_task\n@shared_task\ndef report(): pass\n")
    variables = {"DJANGO_SETTINGS_MODULE": "site_settings", "MARKETFETCH_INCLUDE": "desk"}
    trial = ("-P", "-m", "marketfetch.tasks.project_trial")
    done = preloaded().run(*trial, cwd=ready.folder, env=ready.environment(variables), timeout=300)
    assert json.loads(done.stdout) == [["ok", "include", "Our workers run the tasks of desk: desk.report."]], done.stderr


def test_a_full_disk_is_an_error_although_everything_answers(ready: Any) -> None:
    made = open_store(f"sqlite:///{ready.folder}/marketfetch.db")
    made.create()
    made.close()
    before = (ready.folder / "marketfetch.db").read_bytes()
    done = preloaded().run("-P", "-c", FULL, cwd=ready.folder, env=ready.environment({}), timeout=300)
    said = found(done.stdout)
    assert done.returncode == 1
    assert "the disk is full: free some space" in said["database"]["error"]
    assert "is full" in said["folder"]["warning"], "workers need no state folder where a Redis is configured"
    assert "ok" in said["redis"]
    assert (ready.folder / "marketfetch.db").read_bytes() == before
    assert {one.name for one in ready.folder.iterdir()} == {"marketfetch.db"}


def test_a_url_with_which_workers_die_is_an_error_and_they_and_up_say_the_same(ready: Any) -> None:
    url = f"redis://:{SECRET}@127.0.0.1:1/0?socket_timeout=5"
    done = ready.run("check", "--json", REDIS_URL=url)
    sentence = found(done.stdout)["redis"]["error"]
    assert done.returncode == 1
    assert "'socket_timeout', which workers can't use: write redis://user:password@host:6379/0" in sentence
    variables = ready.environment({"MARKETFETCH_REDIS_URL": url})
    worker = preloaded().run("-m", "celery", "-A", "tasks", "worker", cwd=ready.folder, env=variables, timeout=300)
    assert worker.returncode != 0
    everything = ready.run("up", REDIS_URL=url)
    assert everything.returncode != 0
    for refused in (worker, everything):
        assert "'socket_timeout', which workers can't use" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert SECRET not in done.stdout + done.stderr + refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("keys", "stopped"),
    [
        (("mf:*",), {"broker", "results"}),
        (("mf:*", "celery*", "store", "fetch.*", "unacked*"), set()),
        (("celery*",), {"redis"}),
    ],
)
def test_a_user_whose_rights_are_too_few_for_workers_is_named(
    ready: Any, valkey: Valkey, keys: tuple[str, ...], stopped: set[str]
) -> None:
    with Redis.from_url(valkey.url) as redis:
        redis.acl_setuser(
            "few", enabled=True, reset=True, passwords=[f"+{SECRET}"], keys=keys, channels=["*"], commands=["+@all"]
        )
    done = ready.run("check", "--json", REDIS_URL=f"redis://few:{SECRET}@127.0.0.1:{valkey.port}/0")
    said = found(done.stdout)
    assert {subject for subject, levels in said.items() if "error" in levels} == stopped, said
    for subject in stopped:
        assert "rights" in said[subject]["error"]
    assert SECRET not in done.stdout
    with Redis.from_url(valkey.url) as redis:
        assert redis.keys("*") == []


def test_a_trial_that_does_not_end_is_an_error_after_its_time() -> None:
    ends = threading.Event()

    def work() -> Iterator[Finding]:
        yield Finding(level="ok", subject="redis", sentence="It responds.")
        ends.wait()

    trial = Trial("redis", work, seconds=0.1, next_step="Look at its log.")
    first, late = trial.findings()
    ends.set()
    assert first.sentence == "It responds."
    assert (late.level, late.sentence) == ("error", "No answer within 0.1 s. Look at its log.")


def test_a_mistake_in_a_trial_is_raised_where_its_findings_are_asked_for() -> None:
    def work() -> Iterator[Finding]:
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        Trial("redis", work, seconds=5, next_step="").findings()


def test_a_taken_port_of_flower_is_a_warning(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shell.folder)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(ports, "FLOWER_PORT", port)
        told = ports.flower_port()
        assert (told.level, told.subject) == ("warning", "flower")
        assert f"can't take port {port} (Address already in use)" in told.sentence
        assert "--flower PORT" in told.sentence
    assert ports.flower_port().level == "ok"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("no file is there.", "No file is there."),
        ("providers.polygon.limits: wrong", "providers.polygon.limits: wrong."),
        ("max_reject_share is 7", "max_reject_share is 7."),
    ],
)
def test_a_sentence_has_a_capital_unless_a_setting_begins_it(text: str, sentence: str) -> None:
    assert as_sentence(text) == sentence
