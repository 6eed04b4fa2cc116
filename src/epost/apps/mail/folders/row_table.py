"""Rows of a folder as columns: some 80 octets a message, so that a million fit into memory."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from epost.apps.mail.folders.ascending import picker, places_of
from epost.apps.mail.index import PlacedMail, RowColumns
from epost.apps.mail.mailbox import EMAIL_ID_BYTES, MailTime, MessageColumns, MessageRow

NAME_BYTES = 16
FEW_FLAG_SETS = 256
"""Places among so many sets of flags are kept in an octet each."""
_UNKNOWN = -(2**63)
"""In the column of seconds: the mail does not say when it was sent."""


class RowTable:
    """Rows by ascending UID; a *place* is where a row stands at the moment, from 0."""

    def __init__(self, flag_sets: Sequence[frozenset[str]]) -> None:
        """Flags are entered as places in `flag_sets`, which its owner makes grow."""
        self._flag_sets = flag_sets
        self.uids = array("I")
        self._modseqs = array("Q")
        self._flags = array("B")  # wider once a folder has more sets than that
        self._sizes = array("I")
        self._seconds = array("q")
        self._zones = array("h")
        self._sent_seconds = array("q")
        self._sent_zones = array("h")
        self._positions = array("Q")
        self._emails = bytearray()
        self._names = bytearray()

    def place(self, uid: int) -> int | None:
        """Return where a mail stands, None if it is gone."""
        place = bisect_left(self.uids, uid)
        return place if place < len(self.uids) and self.uids[place] == uid else None

    def extend(self, rows: RowColumns, flags: Sequence[int]) -> None:
        """Enter mails with ascending UIDs, greater than all there are."""
        self.uids.extend(rows.uids)
        self._modseqs.extend(rows.modseqs)
        self._make_room_for(max(flags, default=0))
        self._flags.extend(flags)
        self._sizes.extend(rows.sizes)
        self._seconds.extend(rows.seconds)
        self._zones.extend(rows.zones)
        self._sent_seconds.extend([_UNKNOWN if s is None else s for s in rows.sent_seconds])
        self._sent_zones.extend([zone or 0 for zone in rows.sent_zones])
        self._positions.extend(rows.positions)
        self._emails += b"".join(rows.emails)
        self._names += b"".join(rows.names)

    def put(self, mail: PlacedMail, flags: int) -> None:
        """Enter a mail, or what became of it."""
        uid = mail.placement.uid
        place = len(self.uids)
        if place and uid <= self.uids[-1]:
            place = bisect_left(self.uids, uid)
        if place < len(self.uids) and self.uids[place] == uid:
            self._replace(place, place + 1, mail, flags)
        else:  # in the middle only after a rebuild that lacked another device's log for a while
            self._replace(place, place, mail, flags)

    def _replace(self, start: int, stop: int, mail: PlacedMail, flags: int) -> None:
        facts, sent = mail.facts, mail.facts.sent
        self._make_room_for(flags)
        self.uids[start:stop] = array("I", (mail.placement.uid,))
        self._modseqs[start:stop] = array("Q", (mail.modseq,))
        self._flags[start:stop] = array(self._flags.typecode, (flags,))
        self._sizes[start:stop] = array("I", (facts.size,))
        self._seconds[start:stop] = array("q", (facts.date.seconds,))
        self._zones[start:stop] = array("h", (facts.date.zone_minutes,))
        self._sent_seconds[start:stop] = array("q", (sent.seconds if sent else _UNKNOWN,))
        self._sent_zones[start:stop] = array("h", (sent.zone_minutes if sent else 0,))
        self._positions[start:stop] = array("Q", (facts.position,))
        self._emails[start * EMAIL_ID_BYTES : stop * EMAIL_ID_BYTES] = facts.email
        self._names[start * NAME_BYTES : stop * NAME_BYTES] = mail.placement.name

    def change_flags(self, mails: Sequence[PlacedMail], flags: Sequence[int]) -> None:
        """Note new flags of mails that are there, and when they changed."""
        self._make_room_for(max(flags, default=0))
        for mail, shown in zip(mails, flags, strict=True):
            place = bisect_left(self.uids, mail.placement.uid)
            self._modseqs[place] = mail.modseq
            self._flags[place] = shown

    def _make_room_for(self, flags: int) -> None:
        if flags >= FEW_FLAG_SETS and self._flags.typecode == "B":
            self._flags = array("I", self._flags)

    def remove(self, uids: Sequence[int]) -> None:
        """Cut out mails that are there; `uids` ascend."""
        places = [bisect_left(self.uids, uid) for uid in uids]
        kept = list(zip([0, *(place + 1 for place in places)], [*places, None], strict=True))
        for column in (
            self.uids,
            self._modseqs,
            self._flags,
            self._sizes,
            self._seconds,
            self._zones,
            self._sent_seconds,
            self._sent_zones,
            self._positions,
        ):
            _keep(column, kept)
        _keep_octets(self._emails, kept, EMAIL_ID_BYTES)
        _keep_octets(self._names, kept, NAME_BYTES)

    # Reading; mails that are gone are left out.

    def name(self, place: int) -> bytes:
        """Return the name of the mail's place in the fold."""
        return bytes(self._names[place * NAME_BYTES : (place + 1) * NAME_BYTES])

    def email(self, place: int) -> bytes:
        """Return the id of the mail."""
        return bytes(self._emails[place * EMAIL_ID_BYTES : (place + 1) * EMAIL_ID_BYTES])

    def first_of(self, test: Callable[[frozenset[str]], bool]) -> int | None:
        """Return the lowest UID of those whose flags pass a test."""
        passing = [place for place, flags in enumerate(self._flag_sets) if test(flags)]
        if self._flags.typecode == "B":
            octets, first = self._flags.tobytes(), len(self._flags)
            for flag_set in passing:  # as fast as memory is read, and only as far as need be
                found = octets.find(flag_set, 0, first)
                first = first if found < 0 else found
        else:
            wanted = frozenset(passing)
            places = (place for place, flags in enumerate(self._flags) if flags in wanted)
            first = next(places, len(self._flags))
        return self.uids[first] if first < len(self.uids) else None

    def row(self, place: int) -> MessageRow:
        """Return a row as a value."""
        return MessageRow(
            self.uids[place],
            self._modseqs[place],
            self._flag_sets[self._flags[place]],
            self._sizes[place],
            MailTime(self._seconds[place], self._zones[place]),
            self.email(place).hex(),
            _sent(self._sent_seconds[place], self._sent_zones[place]),
        )

    def rows(self, uids: Sequence[int]) -> list[MessageRow]:
        """Return rows in the order of `uids`."""
        run = self._run(uids)
        if run is None:
            return [self.row(place) for uid in uids if (place := self.place(uid)) is not None]
        columns = self.columns(uids)
        flag_sets = map(self._flag_sets.__getitem__, columns.flags)
        sent = map(_sent, self._sent_seconds[run], self._sent_zones[run])
        fields = (columns.uids, columns.modseqs, flag_sets, columns.sizes)
        return list(map(MessageRow, *fields, columns.internal_dates(), columns.email_ids(), sent))

    def positions(self, uids: Sequence[int]) -> dict[int, int]:
        """Return the positions of mails in the index, by UID."""
        run = self._run(uids)
        if run is not None:
            return dict(zip(self.uids[run], self._positions[run], strict=True))
        places = ((uid, self.place(uid)) for uid in uids)
        return {uid: self._positions[place] for uid, place in places if place is not None}

    def columns(self, uids: Sequence[int], *, facts: bool = True) -> MessageColumns:
        """Return rows by columns; `uids` ascend, and may become the first of them."""
        places = places_of(self.uids, uids)
        pick = picker(places)
        is_all = len(places) == len(uids)
        found = uids if is_all and isinstance(uids, array) else array("I", pick(self.uids))
        rows = MessageColumns(found, pick(self._modseqs), pick(self._flags), self._flag_sets)
        if not facts:
            return rows
        return replace(
            rows,
            sizes=pick(self._sizes),
            seconds=pick(self._seconds),
            zone_minutes=pick(self._zones),
            emails=self._picked_emails(places),
        )

    def _picked_emails(self, places: Sequence[int]) -> bytes:
        width = EMAIL_ID_BYTES
        if isinstance(places, range):
            return bytes(self._emails[places.start * width : places.stop * width])
        starts = [place * width for place in places]
        return b"".join([self._emails[start : start + width] for start in starts])

    def _run(self, uids: Sequence[int]) -> slice | None:
        """Return where these mails stand if they stand side by side: as a rule they do."""
        if not uids:
            return slice(0, 0)
        start = bisect_left(self.uids, uids[0])
        run = slice(start, start + len(uids))
        wanted = uids if isinstance(uids, array) else array("I", uids)
        return run if self.uids[run] == wanted else None


def _sent(seconds: int, zone_minutes: int) -> MailTime | None:
    return None if seconds == _UNKNOWN else MailTime(seconds, zone_minutes)


_Spans = Iterable[tuple[int, int | None]]


def _keep(column: array[int], kept: _Spans) -> None:
    """Leave nothing in a column but these spans."""
    old = column[:]
    del column[:]
    for start, stop in kept:
        column.extend(old[start:stop])


def _keep_octets(column: bytearray, kept: _Spans, width: int) -> None:
    old = bytes(column)
    column.clear()
    for start, stop in kept:
        column += old[start * width : None if stop is None else stop * width]
