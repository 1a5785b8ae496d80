"""Where a call goes, with which secret, and how long it may take: the vendor's API, or its S3 service for files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from marketfetch import vendors
from marketfetch.configured import options
from marketfetch.sections import Key
from marketfetch.settings import get_settings
from marketfetch.vendors.dataset_names import dataset_named
from marketfetch.vendors.errors import NotEntitled
from marketfetch.vendors.file_service import MOST_FILE_BYTES, FileService
from marketfetch.vendors.http import HttpRequest
from marketfetch.vendors.s3_signing import need_signing
from marketfetch.vendors.transport import Timeouts

#: A file that has arrived is unpacked once, and its first part is read and kept, within so many times what other replies have.
_READING: Final = 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The base URL and the secret of a call, and its bounds."""

    base_url: str
    key_label: str
    secret: SecretStr
    timeouts: Timeouts


def endpoint_of(provider: str, call: HttpRequest, key: Key) -> Endpoint:
    """Where `call` goes with this key. Raises NotEntitled for a file without credentials, MissingExtra."""
    settings, ours = get_settings(), options(provider)
    connect_s = settings.timings.connect
    if not call.is_file or not isinstance(ours, FileService):
        total_s = settings.timings.call
        return Endpoint(
            settings.provider(provider).base_url, key.label, key.secret, Timeouts(connect_s=connect_s, total_s=total_s)
        )
    need_signing()
    # What stands for every key is of those without an owner: an owner's files come with credentials of its own.
    owned = bool(settings.provider(provider).key_owners.get(key.label))
    if (secret := ours.file_keys.get(key.label) if owned else ours.file_key(key.label)) is None:
        whose = f"the key {key.label!r}, which has an owner," if owned else "this worker"
        raise NotEntitled(f"{provider} has no credentials for files of {whose}: set providers.{provider}.file_keys there")
    bounds = Timeouts(connect_s=connect_s, total_s=ours.files_seconds, max_bytes=MOST_FILE_BYTES)
    return Endpoint(ours.files_url, key.label, secret, bounds)


def lease_s(provider: str, dataset: object) -> float:
    """How long the lease of a call for this dataset lasts, in seconds."""
    ours, timings = options(provider), get_settings().timings
    named = dataset_named(vendors.vendor(provider), dataset) if isinstance(dataset, str) else None
    if named and named.from_files and isinstance(ours, FileService):
        return ours.files_seconds + _READING * (timings.end_by - timings.call)
    return timings.end_by
