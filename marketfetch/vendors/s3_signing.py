"""Signs calls to an S3 service, in headers: a signature in the URL would be in every log that has the URL.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from marketfetch.extras import need

if TYPE_CHECKING:
    from requests import PreparedRequest

#: The region that a signature names. S3 services beside Amazon's have none, and take this one.
_REGION: Final = "us-east-1"


def need_signing() -> None:
    """Raises MissingExtra where the library that signs is not installed."""
    need("requests_aws4auth", for_what="Fetching a vendor's files")


def sign(prepared: PreparedRequest, credentials: str) -> None:
    """Adds the signature's headers to a call, which is then good for 15 minutes. Raises MissingExtra.

    `credentials`: the access key id and the secret, with a colon between them.
    """
    need_signing()
    from requests_aws4auth import AWS4Auth  # an extra

    key_id, _, secret = credentials.partition(":")
    AWS4Auth(key_id, secret, _REGION, "s3")(prepared)
