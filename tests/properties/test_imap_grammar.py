"""Whatever bytes come, the IMAP server reads them the same way, and only fails as it should."""

from array import array
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from epost.apps.mail.mailbox import MailTime
from epost.servers.imap.dispatch import VERBS, read_command
from epost.servers.imap.folder_tree import matches
from epost.servers.imap.limits import ImapLimits
from epost.servers.imap.syntax import modified_utf7
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.dates import date_time, format_date_time
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.formats import astring, string
from epost.servers.imap.syntax.framing import Frame, FrameEvent, Framer, Hopeless, LiteralAwaited
from epost.servers.imap.syntax.sequences import NumberSet, format_numbers, format_set, number_set
from epost.servers.imap.uid_list import UidList

TOKENS = [
    *sorted(VERBS),
    *b"ALL FLAGS BODY[ BODY.PEEK[ HEADER.FIELDS ] <0.1> 1.2 TEXT MIME UID ENVELOPE NOT OR".split(),
    *b"SINCE 1-Jan-2020 CHARSET UTF-8 RETURN MIN SAVE $ 1:* * 5,7 % INBOX MODSEQ NIL = +".split(),
    *b"BINARY.PEEK[1] BINARY.SIZE[2.1] PREVIEW (LAZY) VANISHED (QRESYNC DATE REVERSE IN".split(),
    *b"REFERENCES ORDEREDSUBJECT OLDER YOUNGER 60 subtree (personal) UTF8 (~{3+} DEFLATE".split(),
    *rb"+FLAGS.SILENT \Seen \* ( ) () (CONDSTORE) (UNCHANGEDSINCE USE STATUS {3} {3+}".split(),
    *b"/private/comment /shared/a/b (MAXSIZE (DEPTH infinity ~{3+} SAVEDATE SAVEDON".split(),
    *b"SET (SELECTED (PERSONAL (MAILBOXES (MessageNew MessageExpunge) (MailboxName NONE".split(),
    b'"',
    b'"x"',
    b'"01-Jan-2020 00:00:00 +0000"',
    b"\r\n",
    b" ",
    b"\xff",
    b"&AOk-",
]
garbage = st.lists(st.sampled_from(TOKENS), max_size=12).map(b" ".join) | st.binary(max_size=60)
texts = garbage.map(lambda rest: b"t " + rest) | garbage
limits = ImapLimits(line_bytes_max=200, mail_bytes_max=50, literal_bytes_max=30)


@given(texts, st.lists(st.binary(max_size=20), max_size=3))
@example(b"t SEARCH " + b"(" * 60, [])
@example(b"t UID", [])
@example(b"t SELECT a (QRESYNC (1 2 3 (4 5)))", [])
@example(b"t ESEARCH IN (subtree (a b)) RETURN () ALL", [])
@example(b"t GETMETADATA (DEPTH 1 MAXSIZE 2) INBOX (/private/a)", [])
@example(b't SETMETADATA "" (/private/a NIL /shared/b ~{1}\r\n)', [b"x"])
@example(b"t NOTIFY SET STATUS (SUBTREE (a b) (MessageNew (UID) MessageExpunge))", [])
def test_parsing_fails_in_one_way_only(text: bytes, literals: list[bytes]) -> None:
    try:
        read_command(Frame(text, tuple(literals)))
        read_command(Frame(text, tuple(literals)), is_utf8=True)
    except ImapSyntaxError:
        return


commands = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.just(b"a NOOP\r\n"),
        st.just(b"b NOOP\n"),
        st.binary(max_size=60).map(lambda data: b"c APPEND x {%d+}\r\n%b\r\n" % (len(data), data)),
        st.binary(max_size=40).map(lambda data: b"d LOGIN {%d}\r\n%b x\r\n" % (len(data), data)),
        st.binary(max_size=9).map(lambda data: b"e SELECT ~{%d+}\r\n%b\r\n" % (len(data), data)),
    ),
    max_size=6,
).map(b"".join)


def events_of(chunks: list[bytes]) -> list[FrameEvent]:
    framer = Framer(limits)
    framer.is_logged_in = True
    events: list[FrameEvent] = []
    for chunk in chunks:
        framer.receive(chunk)
        while (event := framer.next_event()) is not None:
            events.append(event)
            if isinstance(event, Hopeless):
                return events
    return events


@given(commands, st.lists(st.integers(0, 300), max_size=8))
def test_where_the_stream_is_cut_makes_no_difference(stream: bytes, cuts: list[int]) -> None:
    ends = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    chunks = [stream[start:stop] for start, stop in pairwise(ends)]
    octets = [stream[at : at + 1] for at in range(len(stream))]
    assert events_of(chunks) == events_of([stream]) == events_of(octets)


@given(st.lists(st.binary(max_size=30).filter(lambda data: b"\0" not in data), min_size=1))
def test_literals_come_through_unchanged(literals: list[bytes]) -> None:
    framer = Framer(ImapLimits())
    framer.is_logged_in = True
    stream = b"".join(b"{%d}\r\n%b" % (len(data), data) for data in literals)
    framer.receive(b"t APPEND " + stream + b"\r\n")
    events = []
    while (event := framer.next_event()) is not None:
        events.append(event)
    assert events[:-1] == [LiteralAwaited()] * len(literals)
    frame = events[-1]
    assert isinstance(frame, Frame)
    assert frame.literals == tuple(literals)


names = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


@given(names)
@example("&")
@example("Entwürfe & 日本語/😀")
def test_folder_names_survive_the_wire(name: str) -> None:
    wire = modified_utf7.encode(name)
    assert all(0x20 <= octet <= 0x7E for octet in wire)
    assert modified_utf7.decode(wire) == name


@given(st.binary(max_size=20))
def test_a_folder_name_has_one_spelling(wire: bytes) -> None:
    try:
        name = modified_utf7.decode(wire)
    except ImapSyntaxError:
        return
    assert modified_utf7.encode(name) == wire


@given(st.binary(max_size=40).filter(lambda data: b"\0" not in data))
def test_strings_read_as_they_were_written(value: bytes) -> None:
    for written in (string(value), astring(value)):
        framer = Framer(ImapLimits())
        framer.receive(b"t " + written + b"\r\n")
        events = []
        while (event := framer.next_event()) is not None:
            events.append(event)
        assert isinstance(events[-1], Frame)
        cursor = Cursor(events[-1])
        cursor.tag()
        cursor.space()
        assert cursor.astring() == value
        cursor.end()


numbers = st.sets(st.integers(1, 60)).map(sorted)


@given(numbers)
def test_sets_read_as_they_were_written(uids: list[int]) -> None:
    if uids:
        ranges = number_set(Cursor(Frame(format_set(uids)))).resolved(99)
        assert [n for start, stop in ranges for n in range(start, stop + 1)] == uids


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=6),
    st.integers(1, 20),
)
def test_resolved_sets_name_the_same_numbers_once(ranges: list[tuple[int, int]], last: int) -> None:
    wanted = set()
    for start, stop in ranges:
        low, high = sorted((start or last, stop or last))
        wanted |= set(range(low, high + 1))
    resolved = NumberSet(tuple(ranges)).resolved(last)
    flat = [n for start, stop in resolved for n in range(start, stop + 1)]
    assert flat == sorted(wanted)


@given(numbers, numbers)
def test_removing_uids_keeps_the_others_in_place(uids: list[int], removed: list[int]) -> None:
    listed = UidList(array("I", uids))
    places = listed.remove(removed)
    assert places == [place for place, uid in enumerate(uids) if uid in removed]
    assert list(listed) == [uid for uid in uids if uid not in removed]


def slowly_matches(name: str, pattern: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] in "*%":
        if slowly_matches(name, pattern[1:]):
            return True
        return (
            bool(name)
            and (pattern[0] == "*" or name[0] != "/")
            and slowly_matches(name[1:], pattern)
        )
    return name[:1] == pattern[0] and slowly_matches(name[1:], pattern[1:])


@given(st.text("ab/", max_size=8), st.text("ab/%*", max_size=6))
def test_patterns_match_as_the_definition_says(name: str, pattern: str) -> None:
    assert matches(name, pattern) == slowly_matches(name, pattern)


@given(st.integers(-(2**35), 2**35), st.integers(-23 * 60, 23 * 60))
def test_dates_read_as_they_were_written(seconds: int, zone_minutes: int) -> None:
    moment = MailTime(seconds, zone_minutes)
    written = format_date_time(moment)
    assert date_time(Cursor(Frame(written))) == moment


@given(st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=50))
def test_numbers_are_told_with_a_space_between_them(numbers: list[int]) -> None:
    assert format_numbers(array("I", numbers)) == b" ".join(b"%d" % n for n in numbers)
