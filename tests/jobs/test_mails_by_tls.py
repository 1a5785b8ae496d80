"""Mails go through an encrypted connection to a server whose certificate is valid, or not at all: real servers on loopback."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from asyncio.base_events import Server
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from marketfetch.notify_sections import Smtp
from marketfetch.ops import mails
from marketfetch.ops.webhooks import NotSent

PASSWORD = "p4ssword-of-the-mail-server"
BODY = '{"type": "trial", "timestamp": "2024-01-02T00:00:00Z", "data": {"sentence": "A trial."}}'


class Mailbox:
    """What has come: the mails, and each connection's `(encrypted, user, password)`."""

    def __init__(self) -> None:
        self.mails: list[tuple[bool, bytes]] = []
        self.logins: list[tuple[bool, str, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 (the library's name)
        self.mails.append((_is_encrypted(server), envelope.content))
        return "250 OK"

    def login(self, server: Any, session: Any, _envelope: Any, _mechanism: str, found: Any) -> AuthResult:
        assert isinstance(found, LoginPassword)
        self.logins.append((_is_encrypted(server), found.login.decode(), found.password.decode()))
        return AuthResult(success=found.password.decode() == PASSWORD, handled=False)


def _is_encrypted(server: Any) -> bool:
    return server.transport.get_extra_info("ssl_object") is not None


class MailServer(Controller):
    """On a free port, which the library does not look up; its own first connection fails at an encrypted port."""

    def _trigger_server(self) -> None:
        self.port = cast("Server", self.server).sockets[0].getsockname()[1]
        if self.ssl_context is None:
            super()._trigger_server()
            return
        trusted = ssl.create_default_context()
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain,
            trusted.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted,
        ):
            encrypted.recv(1024)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("certificate") / "mail.pem"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + pem)
    return file


@pytest.fixture
def started(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Mailbox, Smtp]]]:
    """Starts a mail server ("starttls", "tls" or "none"); returns its mailbox, and the section that sends through it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    how: dict[str, dict[str, Any]] = {
        "starttls": {"tls_context": context, "require_starttls": True},
        "tls": {"ssl_context": context, "auth_require_tls": False},
        "none": {"auth_require_tls": False},
    }
    with ExitStack() as stack:

        def start(tls: str, **more: Any) -> tuple[Mailbox, Smtp]:
            box = Mailbox()
            server = MailServer(box, hostname="127.0.0.1", port=0, authenticator=box.login, **how[tls])
            server.start()
            stack.callback(server.stop)
            section = {"host": "127.0.0.1", "port": server.port, "tls": tls, "user": "marketfetch", **more}
            return box, Smtp.model_validate(section)

        yield start


def sent(smtp: Smtp, password: str = PASSWORD) -> None:
    mails.send(smtp, password, "desk@example.com", "evt_1", BODY)


def refused(smtp: Smtp, password: str = PASSWORD) -> str:
    with pytest.raises(NotSent) as caught:
        sent(smtp, password)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_the_login_and_the_mail_are_encrypted(started, tls):
    box, smtp = started(tls)
    sent(smtp)
    ((encrypted, content),) = box.mails
    assert encrypted
    assert b"Subject: marketfetch: A trial." in content
    assert box.logins == [(True, "marketfetch", PASSWORD)]
    assert refused(smtp, "wrong") == "the server 127.0.0.1 refuses the user or the password of [smtp]"


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_server_whose_certificate_is_not_valid_gets_neither_password_nor_mail(started, monkeypatch, tmp_path, tls):
    box, smtp = started(tls)
    named = smtp.model_copy(update={"host": "localhost"})
    assert "Hostname mismatch" in refused(named)
    (tmp_path / "none.pem").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    said = refused(smtp)
    assert said.startswith(f"the certificate of 127.0.0.1:{smtp.port} is not valid (self")
    assert (box.logins, box.mails) == ([], [])


def test_a_server_without_encryption_gets_nothing_unless_the_settings_say_so(started):
    box, plain = started("none")
    asked = plain.model_copy(update={"tls": "starttls"})
    assert "offers no STARTTLS: correct smtp.port, or smtp.tls" in refused(asked)
    assert (box.logins, box.mails) == ([], [])
    sent(plain)
    assert box.logins == [(False, "marketfetch", PASSWORD)]
