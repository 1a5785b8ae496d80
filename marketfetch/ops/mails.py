"""E-mail through a server of the settings (`[smtp]`)."""

from __future__ import annotations

import json
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, parseaddr

from marketfetch.notify_sections import Smtp
from marketfetch.ops.webhooks import NotSent

_TIMEOUT_S = 10.0


def send(smtp: Smtp, password: str, to: str, event_id: str, body: str) -> None:
    """Sends an event as a mail. Its Message-ID is that of the event, so that a mail that comes twice is known as one.

    Raises NotSent.
    """
    message = mail(smtp, to, event_id, body)
    try:
        with _connected(smtp) as server:
            if smtp.user:
                server.login(smtp.user, password)
            server.send_message(message)
    except smtplib.SMTPNotSupportedError:
        # STARTTLS is looked for before the login, so the password has not left this process.
        what = "offers no STARTTLS: correct smtp.port, or smtp.tls" if smtp.tls == "starttls" else "asks for no password"
        raise NotSent(f"the server {smtp.host}:{smtp.port} {what}") from None
    except ssl.SSLCertVerificationError as error:
        why = f"is not valid ({error.verify_message.rstrip('.')})"
        raise NotSent(f"the certificate of {smtp.host}:{smtp.port} {why}: correct smtp.host, or SSL_CERT_FILE") from None
    except smtplib.SMTPAuthenticationError:
        raise NotSent(f"the server {smtp.host} refuses the user or the password of [smtp]") from None
    except smtplib.SMTPResponseException as error:
        raise NotSent(f"the server {smtp.host} responds with {error.smtp_code}") from None
    except smtplib.SMTPRecipientsRefused:
        raise NotSent(f"the server {smtp.host} refuses the address {to}") from None
    except (smtplib.SMTPException, OSError) as error:
        raise NotSent(f"the server {smtp.host}:{smtp.port} can't be used ({type(error).__name__})") from None


def mail(smtp: Smtp, to: str, event_id: str, body: str) -> EmailMessage:
    """The mail of an event: its sentence as the subject, each value in a line."""
    event = json.loads(body)
    message = EmailMessage()
    message["From"], message["To"] = smtp.sender or f"marketfetch@{smtp.host}", to
    message["Subject"] = " ".join(f"marketfetch: {event['data']['sentence']}".split())[:200]
    message["Date"] = formatdate(usegmt=True)
    domain = parseaddr(str(message["From"]))[1].rpartition("@")[2] or smtp.host
    message["Message-ID"] = f"<{event_id}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    values = "\n".join(f"{name}: {value}" for name, value in event["data"].items() if name != "sentence")
    message.set_content(f"{event['data']['sentence']}\n\nevent: {event['type']}\nat: {event['timestamp']}\n{values}\n")
    return message


def _connected(smtp: Smtp) -> smtplib.SMTP:
    context = ssl.create_default_context()
    if smtp.tls == "tls":
        return smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=_TIMEOUT_S, context=context)
    server = smtplib.SMTP(smtp.host, smtp.port, timeout=_TIMEOUT_S)
    try:
        if smtp.tls == "starttls":
            server.starttls(context=context)
    except BaseException:
        server.close()
        raise
    return server
