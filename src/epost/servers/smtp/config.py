"""Settings of one submission listener."""

from dataclasses import dataclass
from enum import Enum

from epost.apps.mail.mailbox import MAIL_SIZE_BYTES_MAX


class PlaintextLogin(Enum):
    """Which logins a connection without TLS may use."""

    NONE = "none"  # everything but STARTTLS is refused
    SCRAM_ONLY = "scram"  # loopback where the owner of a connection cannot be told
    PASSWORDS = "passwords"  # loopback under the uid check


@dataclass(frozen=True, slots=True)
class SmtpConfig:
    """Limits and rules; times in seconds."""

    host_name: str = "localhost"  # shown in the greeting
    plaintext_login: PlaintextLogin = PlaintextLogin.NONE
    message_bytes_max: int = MAIL_SIZE_BYTES_MAX
    recipients_max: int = 1_000  # RFC 5321 section 4.5.3.1.8 asks for at least 100
    connections_max: int = 100
    errors_max: int = 20  # protocol errors on one connection
    login_seconds: float = 60.0  # for each command before login
    idle_seconds: float = 300.0  # for each command and piece of data (RFC 5321 section 4.5.3.2)
    line_bytes_max: int = 4_096  # RFC 5321 section 4.5.3.1.4 asks for 512, extensions add to it
    login_line_bytes_max: int = 12_288  # RFC 4954 section 4

    def __post_init__(self) -> None:
        if not 1 <= self.message_bytes_max <= MAIL_SIZE_BYTES_MAX:
            raise ValueError(f"message_bytes_max must be 1 to {MAIL_SIZE_BYTES_MAX}")
        if not 1 <= self.recipients_max <= 10_000:
            raise ValueError("recipients_max must be 1 to 10000")
