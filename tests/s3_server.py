"""A real S3 server on loopback that checks signatures, with a bucket and an account: `moto`, in this process."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Moto's own account.
_ACCOUNT = "123456789012"
_EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})


def backend(service: str) -> Any:
    """moto's own books of a service. moto is imported by the tests that use it alone: every process of a run collects all."""
    from moto.backends import get_backend

    return get_backend(service)


def moto_server() -> Any:
    """A server on a free port, to be started."""
    from moto.server import ThreadedMotoServer

    return ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)


class S3Server:
    """`url` is its address, `credentials` are an access key id and its secret with a colon between them."""

    def __init__(self, url: str, bucket: str) -> None:
        self.url, self.bucket = url, bucket
        #: The paths of all GETs so far.
        self.asked_for: list[str] = []
        self._s3: Any = backend("s3")[_ACCOUNT]["aws"]
        self._iam: Any = backend("iam")[_ACCOUNT]["aws"]
        self._s3.create_bucket(bucket, "us-east-1")
        self._iam.create_user("us-east-1", "reader")
        key = self._iam.create_access_key("reader")
        self.credentials = f"{key.access_key_id}:{key.secret_access_key}"
        self.allow(True)

    def put(self, path: str, body: bytes) -> None:
        """Publishes an object; its path begins with the bucket, as in a URL."""
        self._s3.put_object(self.bucket, path.removeprefix(f"/{self.bucket}/"), body)

    def allow(self, allowed: bool) -> None:
        """Whether the account may read the bucket."""
        if allowed:
            self._iam.put_user_policy("reader", "all", _EVERYTHING)
        else:
            self._iam.delete_user_policy("reader", "all")


@contextmanager
def s3_server(bucket: str) -> Iterator[S3Server]:
    """Starts the server. Every call of it needs a signature."""
    server = moto_server()
    server.start()
    try:
        host, port = server.get_host_and_port()
        made = S3Server(f"http://{host}:{port}", bucket)
        # The number of calls that need none: so moto begins to check signatures.
        import requests

        requests.post(f"{made.url}/moto-api/reset-auth", data=b"0", timeout=10).raise_for_status()
        with _noted(made.asked_for):
            yield made
    finally:
        server.stop()
        # The library keeps buckets and accounts beyond the server: another file of tests in this process begins anew.
        for service in ("s3", "iam"):
            backend(service).reset()


@contextmanager
def _noted(paths: list[str]) -> Iterator[None]:
    """Notes what the server logs of each GET, instead of printing it."""

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if found := re.search(r"GET (/\S+) HTTP", record.getMessage()):
                paths.append(found[1])

    logger, notes = logging.getLogger("werkzeug"), Notes()
    logger.addHandler(notes)
    logger.setLevel(logging.INFO)
    before, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(notes)
