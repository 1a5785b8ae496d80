"""Where a call goes, with which secret, and how long it may take: the vendor's API, or its S3 service for files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from marketfetch import settings_in_force, vendors
from marketfetch.configured import keys, options
from marketfetch.quotas.lanes import serving
from marketfetch.schemas.request import Request
from marketfetch.sections import Key
from marketfetch.settings import get_settings
from marketfetch.vendors.dataset_names import dataset_named
from marketfetch.vendors.errors import BadCredentials, NotEntitled
from marketfetch.vendors.file_service import MOST_FILE_BYTES, FileService
from marketfetch.vendors.http import HttpRequest
from marketfetch.vendors.s3_signing import need_signing
from marketfetch.vendors.transport import Timeouts
from marketfetch.vendors.wire import SendTooLate

#: A file that has arrived is unpacked once, and its first part is read and kept, within so many times what other replies have.
_READING: Final = 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The base URL and the secret of a call, and its bounds."""

    base_url: str
    key_label: str
    secret: SecretStr
    timeouts: Timeouts


def key_of(provider: str, label: str) -> Key:
    """The key that a grant names. Raises BadCredentials; SendTooLate for one that was removed since the grant."""
    for _ in range(2):
        for key in get_settings().provider(provider).keys:
            if key.label == label:
                return key
        # Added since this process looked last.
        settings_in_force.refresh(now=True)
    if settings_in_force.was_unset(f"providers.{provider}.api_keys.{label}"):
        raise SendTooLate
    raise BadCredentials(f"no key labelled {label!r} is configured for {provider} in this worker")


def check_owner(request: Request, key: Key) -> None:
    """A key that has got another owner since the grant is used for no request of the former one. Raises SendTooLate."""
    for _ in range(2):
        if any(one.label == key.label for one in serving(keys(request.provider), request.lane)):
            return
        settings_in_force.refresh(now=True)
    raise SendTooLate


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
