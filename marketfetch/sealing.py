"""Secrets in the database: each is sealed with AES-256-GCM under a master key, and bound to the name of its setting.

A sealed text that was copied to another setting's row can't be opened there. Several master keys may be given: the first seals,
each opens, so that readers go on while a new one is brought in.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from marketfetch.extras import need

_BYTES: Final = 32
_NONCE_BYTES: Final = 12
#: Stands before the setting's name in what is authenticated with the secret.
_PURPOSE: Final = "marketfetch setting:"


class WrongMasterKey(ValueError):
    """A text is no master key, or no master key is given that opens a secret. The sentence begins with what is wrong."""


@dataclass(frozen=True, slots=True, repr=False)
class MasterKey:
    """`id` tells keys apart, and says nothing of the key."""

    id: str
    secret: bytes


def new_master_key() -> str:
    """A new master key as it is written in a file or a variable: 256 random bits in base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(_BYTES)).decode()


def master_keys_in(text: str) -> tuple[MasterKey, ...]:
    """The master keys in `text`, with commas or line breaks between them. Raises WrongMasterKey, which quotes none of it."""
    found = []
    for one in (part.strip() for part in text.replace("\n", ",").split(",")):
        if not one:
            continue
        try:
            raw = base64.b64decode(one.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if len(raw) != _BYTES:
            raise WrongMasterKey("a master key is 32 bytes in base64: `marketfetch set --new-master-key` makes one")
        found.append(MasterKey(hashlib.sha256(b"marketfetch key id:" + raw).hexdigest()[:8], raw))
    return tuple(found)


def seal(secret: str, *, name: str, key: MasterKey) -> str:
    """The secret of the setting `name`, sealed, as text. Raises MissingExtra."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return base64.b64encode(nonce + _cipher(key).encrypt(nonce, secret.encode(), (_PURPOSE + name).encode())).decode()


def opened(sealed: str, *, name: str, key_id: str, keys: Sequence[MasterKey]) -> str:
    """The secret in a sealed text. Raises WrongMasterKey, MissingExtra."""
    key = next((one for one in keys if one.id == key_id), None)
    if key is None:
        given = f"the ones given are {', '.join(one.id for one in keys)}" if keys else "none is given"
        raise WrongMasterKey(f"it is sealed with the master key {key_id}, and {given}")
    from cryptography.exceptions import InvalidTag

    cipher = _cipher(key)
    try:
        raw = base64.b64decode(sealed, validate=True)
        text: str = cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], (_PURPOSE + name).encode()).decode()
    except (InvalidTag, ValueError):
        raise WrongMasterKey("its sealed text was changed, or is that of another setting") from None
    return text


def _cipher(key: MasterKey) -> Any:
    need("cryptography", for_what="A secret in the database")
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key.secret)
