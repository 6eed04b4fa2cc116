"""Every bound of the POP3 server, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pop3Limits:
    """Bounds of one connection."""

    line_bytes_max: int = 4096  # RFC 2449 wants 255; answers of SASL are longer (RFC 5034)
    bad_commands_max: int = 10  # in a row
    commands_before_login_max: int = 50
    login_timeout_seconds: float = 60.0
    idle_timeout_seconds: float = 10 * 60.0  # RFC 1939 section 3 wants at least 10 minutes
    stalled_timeout_seconds: float = 5 * 60.0  # a client that does not read what it asked for


ROWS_PER_SLICE = 2000  # between two turns of the event loop
OUTPUT_BYTES_PER_SLICE = 256 * 1024
READ_BYTES = 16 * 1024
