"""Beside a sandbox no setting leads outside: its own replace, or empty, every address and secret that is configured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from marketfetch.cli.locks import only_one
from marketfetch.cli.sandboxed import vendors_at
from marketfetch.exceptions import BadRequestError
from marketfetch.local import sandbox_note
from marketfetch.ops.replay import replay
from marketfetch.settings import get_settings, model, override
from marketfetch.stored_settings import annotation_of
from marketfetch.vendors import names

#: What leads outside, or opens something there: by its type, or by its name. A new setting of this kind fails the first test.
_LEADS = re.compile(r"Secret|Path")
_NAMED = re.compile(r"(_url|_keys|_file|_host|_options|_prefix|proxy|archive|webhook|address)$")

#: These name files and modules of the user's folder, or the user's own words, and nothing that a call could reach.
OF_THIS_FOLDER = {
    "master_key",
    "master_key_file",
    "state_dir",
    "redis_password_file",
    "database_password_file",
    "redis_prefix",
    "broker_options",
}
REPLACED = {"redis_url", "broker_url", "database_url"}
OF_A_VENDOR = {"api_keys", "base_url", "proxy", "ca_file"}
#: Names of a table's columns.
COLUMNS = {"value_keys"}
OF_FILES = {"files_url", "file_keys"}


def section_of(name: str) -> type[BaseModel]:
    return annotation_of(("providers", name), model())


def leading(section: type[BaseModel]) -> set[str]:
    found = section.model_fields.items()
    return {name for name, field in found if _LEADS.search(repr(field.annotation)) or _NAMED.search(name)}


def test_each_setting_that_leads_outside_is_known_here() -> None:
    """A new one is decided here: what the sandbox makes of it."""
    assert leading(model()) == REPLACED | {"archive"} | OF_THIS_FOLDER
    for name in names():
        others = leading(section_of(name)) - OF_A_VENDOR - COLUMNS
        assert others in (set(), OF_FILES), f"{name}: {sorted(others)}"


@pytest.fixture
def beside_a_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The note of a running sandbox in a folder where everything that can be configured leads outside."""
    monkeypatch.chdir(tmp_path)
    authority = tmp_path / "outside.pem"
    authority.touch()
    lines = [
        'redis_url = "redis://outside"',
        'broker_url = "amqp://outside"',
        'database_url = "postgresql://outside/db"',
        'archive = "s3://outside/replies"',
    ]
    for name in names():
        lines += [
            f"[providers.{name}]",
            'api_keys = ["outside:outside-key"]',
            'base_url = "https://outside"',
            'proxy = "http://outside:3128"',
            f"ca_file = {json.dumps(str(authority))}",
            'key_limits = { outside = ["5/minute"] }',
        ]
        if "file_keys" in section_of(name).model_fields:
            lines += ['files_url = "https://outside"', 'file_keys = { outside = "outside:secret" }']
    Path("marketfetch.toml").write_text("\n".join(lines))
    state = tmp_path / ".marketfetch"
    sandbox_note.home(state).mkdir(parents=True)
    mine = dict.fromkeys(REPLACED, "redis://127.0.0.1:1/0") | {"archive": ""}
    urls = {name: f"http://127.0.0.1:2/{name}" for name in names()}
    sandbox_note.leave(state, mine | vendors_at(urls, label="sandbox"))
    with only_one(sandbox_note.home(state) / sandbox_note.LOCK, what="it"), override({}):
        yield
    get_settings.cache_clear()


@pytest.mark.usefixtures("beside_a_sandbox")
def test_nothing_that_is_configured_leads_outside_beside_a_sandbox() -> None:
    found = get_settings()
    assert found.archive is None
    shown = {name: repr(found.provider(name).model_dump(mode="python")) for name in names()}
    assert not [name for name, text in shown.items() if "outside" in text]
    assert not [one for one in found.secrets() if "outside" in one]
    polygon = found.provider("polygon")
    assert (getattr(polygon, "files_url", ""), getattr(polygon, "file_keys", None)) == ("http://127.0.0.1:2/polygon", {})


def test_the_archive_of_a_stopped_sandbox_is_not_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = sandbox_note.home(Path(".marketfetch"))
    configured = override({"MARKETFETCH_ARCHIVE": str(home / sandbox_note.ARCHIVE)})
    with configured, pytest.raises(BadRequestError, match="the sandbox's own"):
        replay(dry_run=True)
    get_settings.cache_clear()
