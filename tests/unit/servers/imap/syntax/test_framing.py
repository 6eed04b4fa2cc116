"""Limits of framing, at the limit and one beyond; the rest is in the properties and dialogues."""

from epost.servers.imap.limits import ImapLimits
from epost.servers.imap.syntax.framing import (
    Frame,
    FrameEvent,
    Framer,
    Hopeless,
    LiteralAwaited,
    Refused,
)

LIMITS = ImapLimits(
    line_bytes_max=40,
    login_literal_bytes_max=5,
    literal_bytes_max=8,
    mail_bytes_max=10,
    append_bytes_max=12,
    literals_per_command_max=2,
    skipped_literal_bytes_max=20,
)


def event_of(stream: bytes, *, is_logged_in: bool = True) -> FrameEvent | None:
    framer = Framer(LIMITS)
    framer.is_logged_in = is_logged_in
    framer.receive(stream)
    return framer.next_event()


def test_a_line_may_be_as_long_as_the_limit() -> None:
    assert event_of(b"x" * 39 + b"\r\n") == Frame(b"x" * 39)
    assert isinstance(event_of(b"x" * 40 + b"\r\n"), Hopeless)
    assert event_of(b"x" * 40) is None
    assert isinstance(event_of(b"x" * 41), Hopeless)


def test_all_lines_of_a_command_count() -> None:
    assert isinstance(event_of(b"a APPEND " + b"x" * 20 + b"{1+}\r\na" + b"y" * 20), Hopeless)


def test_before_login_large_literals_are_refused() -> None:
    assert event_of(b"a LOGIN {5}\r\n", is_logged_in=False) == LiteralAwaited()
    refused = event_of(b"a LOGIN {6}\r\n", is_logged_in=False)
    assert refused == Refused(b"a", "Literal of 6 octets is too big", b"TOOBIG")
    assert isinstance(event_of(b"a LOGIN {6+}\r\n", is_logged_in=False), Hopeless)


def test_literals_of_append_and_of_other_commands() -> None:
    assert event_of(b"a APPEND x {10}\r\n") == LiteralAwaited()
    assert isinstance(event_of(b"a APPEND x {11}\r\n"), Refused)
    assert event_of(b"a SELECT {8}\r\n") == LiteralAwaited()
    assert isinstance(event_of(b"a SELECT {9}\r\n"), Refused)


def test_literals_of_one_command_together() -> None:
    assert isinstance(event_of(b"a APPEND {8+}\r\nxxxxxxxx {5}\r\n"), Refused)
    assert event_of(b"a APPEND {8+}\r\nxxxxxxxx {4}\r\n") == LiteralAwaited()
    assert isinstance(event_of(b"a APPEND {1+}\r\nx {1+}\r\nx {1}\r\n"), Refused)


def test_a_refused_literal_that_comes_anyway_is_skipped() -> None:
    framer = Framer(LIMITS)
    framer.is_logged_in = True
    framer.receive(b"a SELECT {20+}\r\n" + b"x" * 10)
    assert framer.next_event() is None
    framer.receive(b"x" * 10 + b" {3+}\r\nabc\r\nb NOOP\r\n")
    assert isinstance(framer.next_event(), Refused)
    assert framer.next_event() == Frame(b"b NOOP")
    framer.receive(b"a SELECT {21+}\r\n")
    assert isinstance(framer.next_event(), Hopeless)


def test_what_is_discarded_is_not_heard() -> None:
    framer = Framer(LIMITS)
    framer.receive(b"a NOOP\r\nb NO")
    framer.discard()
    framer.receive(b"c NOOP\r\n")
    assert framer.next_event() == Frame(b"c NOOP")
