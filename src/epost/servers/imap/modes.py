"""What a client has enabled in its session (RFC 5161); it changes how the server talks."""

from dataclasses import dataclass


@dataclass(slots=True)
class Modes:
    """Only ever switched on."""

    knows_modseq: bool = False  # CONDSTORE, RFC 7162 3.1
    wants_vanished: bool = False  # QRESYNC, RFC 7162 3.2
    accepts_utf8: bool = False  # UTF8=ACCEPT, RFC 6855
    is_rev2: bool = False  # IMAP4rev2, RFC 9051
    is_uid_only: bool = False  # UIDONLY, RFC 9586: message numbers are never spoken of

    hears_metadata: bool = False  # ENABLE METADATA, RFC 5464 4.4
    hears_server_metadata: bool = False  # the same of the account alone

    @property
    def is_utf8(self) -> bool:
        """Whether folder names travel in UTF-8."""
        return self.accepts_utf8 or self.is_rev2
