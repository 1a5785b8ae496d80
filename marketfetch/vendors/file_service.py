"""The S3 service of a vendor that publishes its history as files: its address, and each key's credentials there.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""

from __future__ import annotations

import re
from typing import Final

from pydantic import Field, SecretStr, field_validator

from marketfetch.vendors.protocol import BASE_URL, VendorOptions

#: Stands for every key of the vendor in `file_keys`.
EVERY_KEY: Final = "*"
#: The most bytes of a file as it comes: the largest that is known, ten times.
MOST_FILE_BYTES: Final = 256 << 20
_CREDENTIALS: Final = re.compile(r"[\x21-\x39\x3b-\x7e]+:[\x21-\x7e]+")


class FileService(VendorOptions):
    """Options of a vendor with files; the vendor gives `files_url` a default.

    `file_keys` has the credentials of each key by the key's label, "*" for all keys: the access key id and the secret, with a
    colon between them. Without them the vendor's files are not asked for. A download may take `files_seconds`.
    """

    files_url: str = Field(pattern=BASE_URL)
    file_keys: dict[str, SecretStr] = Field(default_factory=dict)
    #: A task ends after 120 s, whatever it does: what is left of them is for reading the file.
    files_seconds: int = Field(default=90, ge=1, le=90)

    @field_validator("file_keys", mode="before")
    @classmethod
    def _null_clears_file_keys(cls, found: object) -> object:
        return {} if found is None else found

    @field_validator("file_keys")
    @classmethod
    def _are_credentials(cls, found: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for label, one in found.items():
            if not _CREDENTIALS.fullmatch(one.get_secret_value()):
                raise ValueError(f"the credentials of {label!r} are no access key id and secret: write them as ID:SECRET")
        return found

    def file_key(self, label: str) -> SecretStr | None:
        """The credentials of the key called `label`; None where it has none."""
        return self.file_keys.get(label, self.file_keys.get(EVERY_KEY))


def hidden_in(file_keys: dict[str, SecretStr]) -> set[str]:
    """What redaction cuts of these credentials: each secret, and each access key id."""
    return {part for one in file_keys.values() for part in one.get_secret_value().split(":", 1) if part}
