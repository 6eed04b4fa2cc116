"""The demo's mail: made, submitted by SMTP, read back by IMAP with stock clients' libraries."""

from __future__ import annotations

import imaplib
import smtplib
import ssl
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid

from epost.daemon.demo.state import MailService
from epost.foundation.errors import UnavailableError

PHOTO_SIZE = 250
TABLE_ROWS = 2600
DIAL_TIMEOUT_SECONDS = 30
POLL_SECONDS = 0.2
OWN_NAME = "demo.example.org"


def compose(sender: str, recipients: Sequence[str]) -> tuple[str, bytes]:
    """Return (Message-ID, octets) of a mail of about 300 KB with two attachments."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = "A mail without a server"
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = make_msgid(domain=sender.partition("@")[2])
    mail.set_content(_TEXT)
    mail.add_attachment(_picture(PHOTO_SIZE), maintype="image", subtype="png", filename="ring.png")
    table = "".join(f"{n};{n * n};{n * n * n % 9973}\r\n" for n in range(TABLE_ROWS))
    mail.add_attachment(table.encode(), maintype="text", subtype="csv", filename="numbers.csv")
    return str(mail["Message-ID"]), mail.as_bytes(policy=SMTP)


_TEXT = """\
Hello,

this mail went from one daemon to another. Its parts were encrypted on the sender's machine,
stored once, and copied to three machines of the organisation. No server took part.

Two attachments: a picture and a table. Reply with any mail program.
"""


def _picture(size: int) -> bytes:
    """Return a PNG of concentric rings, noisy enough not to compress away."""
    rows = bytearray()
    noise = zlib.crc32(b"ePOST")
    for y in range(size):
        rows.append(0)
        for x in range(size):
            radius = ((x - size / 2) ** 2 + (y - size / 2) ** 2) ** 0.5
            noise = (noise * 1103515245 + 12345) & 0x7FFFFFFF
            shade = (int(radius * 4) + (noise >> 16) % 48) % 256
            rows += bytes((shade, (noise >> 8) & 0xFF, 255 - shade))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def submit(
    service: MailService, sender: str, password: str, recipients: Sequence[str], octets: bytes
) -> str:
    """Submit by SMTP as any mail program would; return the server's words for the 250.

    Raises UnavailableError with the server's answer if it is not accepted.
    """
    with _failures_told(service), _smtp(service) as client:
        client.login(sender, password)
        client.mail(sender)
        for recipient in recipients:
            code, text = client.rcpt(recipient)
            if code != 250:
                raise UnavailableError(f"RCPT {recipient}: {code} {text.decode()}")
        code, text = client.data(octets)
        if code != 250:
            raise UnavailableError(f"DATA: {code} {text.decode()}")
        return text.decode()


def read_back(
    service: MailService,
    user: str,
    password: str,
    message_id: str,
    *,
    timeout_seconds: float,
    tick: Callable[[], None] = lambda: None,
) -> bytes:
    """Wait until the mail is in the INBOX and return its octets; raises UnavailableError."""
    deadline = time.monotonic() + timeout_seconds
    with _failures_told(service), _imap(service) as client:
        client.login(user, password)
        while time.monotonic() < deadline:
            client.select("INBOX", readonly=True)
            _, found = client.uid("SEARCH", "HEADER", "Message-ID", message_id)
            if found and found[0]:
                _, fetched = client.uid("FETCH", found[0].split()[-1].decode(), "(BODY.PEEK[])")
                return _literal(fetched)
            tick()
            time.sleep(POLL_SECONDS)
    raise UnavailableError(f"the mail did not reach {user} within {timeout_seconds:.0f} s")


def _literal(fetched: Sequence[object]) -> bytes:
    for item in fetched:
        if isinstance(item, tuple):
            return bytes(item[1])
    raise UnavailableError("the mail is listed but has no content")


@contextmanager
def _failures_told(service: MailService) -> Iterator[None]:
    """Say in the project's words what a mail program met: UnavailableError."""
    try:
        yield
    except (OSError, imaplib.IMAP4.error) as error:  # smtplib's errors are OSErrors
        raise UnavailableError(
            f"a mail program cannot work with {service.host}:{service.port} "
            f"({service.security}): {error}"
        ) from error


def _smtp(service: MailService) -> smtplib.SMTP:
    if service.security == "tls":
        return smtplib.SMTP_SSL(
            service.host,
            service.port,
            OWN_NAME,
            timeout=DIAL_TIMEOUT_SECONDS,
            context=_tls(service),
        )
    client = smtplib.SMTP(service.host, service.port, OWN_NAME, timeout=DIAL_TIMEOUT_SECONDS)
    if service.security == "starttls":
        client.starttls(context=_tls(service))
    return client


def _imap(service: MailService) -> imaplib.IMAP4:
    if service.security == "tls":
        return imaplib.IMAP4_SSL(
            service.host,
            service.port,
            ssl_context=_tls(service),
            timeout=DIAL_TIMEOUT_SECONDS,
        )
    client = imaplib.IMAP4(service.host, service.port, timeout=DIAL_TIMEOUT_SECONDS)
    if service.security == "starttls":
        client.starttls(_tls(service))
    return client


def _tls(service: MailService) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=service.ca_file)
