"""Secrets in the database: sealed under a master key, bound to their setting, opened by any of several keys."""

from __future__ import annotations

import base64
import sys
from types import ModuleType

import pytest

from marketfetch.master_keys import NoMasterKey, master_keys, sealing_key
from marketfetch.sealing import WrongMasterKey, master_keys_in, new_master_key, opened, seal
from marketfetch.settings import override

NAME = "providers.polygon.api_keys.main"


def test_a_sealed_text_opens_only_as_the_setting_it_was_sealed_for():
    old, new = master_keys_in(f"{new_master_key()},\n{new_master_key()}\n")
    sealed = seal("S3CR3T", name=NAME, key=old)
    assert "S3CR3T" not in sealed
    assert seal("S3CR3T", name=NAME, key=old) != sealed, "a nonce is used once"
    assert opened(sealed, name=NAME, key_id=old.id, keys=(new, old)) == "S3CR3T"
    changed = base64.b64encode(base64.b64decode(sealed)[:-1] + b"\0").decode()
    for text, name in ((sealed, "providers.nasdaq.api_keys.main"), (changed, NAME), ("no base64", NAME)):
        with pytest.raises(WrongMasterKey, match="was changed, or is that of another setting"):
            opened(text, name=name, key_id=old.id, keys=(old,))
    with pytest.raises(WrongMasterKey, match=f"sealed with the master key {old.id}, and the ones given are {new.id}"):
        opened(sealed, name=NAME, key_id=old.id, keys=(new,))
    with pytest.raises(WrongMasterKey, match="none is given"):
        opened(sealed, name=NAME, key_id=old.id, keys=())


@pytest.mark.parametrize("text", ["short", base64.b64encode(b"x" * 31).decode(), "not base64 at all!"])
def test_a_text_that_is_no_master_key_is_refused_without_being_quoted(text):
    with pytest.raises(WrongMasterKey, match="32 bytes in base64") as caught:
        master_keys_in(text)
    assert text not in str(caught.value)


def test_the_master_key_comes_from_the_environment_a_file_or_the_keyring(tmp_path, monkeypatch):
    one, two, three = new_master_key(), new_master_key(), new_master_key()
    keyring = ModuleType("keyring")
    keyring.__spec__ = sys.__spec__
    keyring.get_password = lambda service, name: three if (service, name) == ("marketfetch", "master-key") else None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    file = tmp_path / "master.key"
    file.write_text(two)
    named = {"MARKETFETCH_MASTER_KEY_FILE": str(file)}
    with override({**named, "MARKETFETCH_MASTER_KEY": one}):
        assert master_keys() == master_keys_in(one)
    with override(named):
        assert master_keys() == master_keys_in(two)
        file.write_text(f"{one}\n{two}\n")
        assert sealing_key() == master_keys_in(one)[0], "a file is read each time"
        file.unlink()
        with pytest.raises(NoMasterKey, match=r"master\.key, can't be read: No such file"):
            master_keys()
    with override({}):
        assert master_keys() == master_keys_in(three)
    monkeypatch.delitem(sys.modules, "keyring")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with override({}), pytest.raises(NoMasterKey, match="and there is none"):
        sealing_key()
