"""What threading looks at (RFC 5256 3), by columns: some 40 octets a message, and 8 a reference."""

from array import array
from collections.abc import Iterable

from epost.servers.imap.subjects import BaseSubject


class Threadables:
    """Messages by ascending UID; a *place* is where one stands, from 0.

    Message ids and subjects are only ever compared, so hashes stand for them: 64 bits under a key
    that is drawn for each process, so that nobody can make up two that are equal.
    """

    def __init__(self) -> None:
        self.uids = array("I")
        self.subjects = array("q")
        """Hashes of base subjects, 0 if there is none."""
        self.replies = bytearray()
        """1 for a message whose subject is that of a reply or a forwarded mail."""
        self.ids = array("q")
        """Hashes of message ids, 0 if there is none."""
        self._sent = array("q")
        self._references = array("q")
        self._ends = array("I", (0,))
        self._by_date: array[int] | None = None

    def __len__(self) -> int:
        return len(self.uids)

    def add(
        self,
        uid: int,
        sent: int,
        subject: BaseSubject,
        message_id: str,
        references: Iterable[str] = (),
    ) -> None:
        """Enter one: `sent` in seconds, `references` oldest first."""
        self.uids.append(uid)
        self._sent.append(sent)
        self.subjects.append(hash(subject.text) if subject.text else 0)
        self.replies.append(subject.is_reply)
        self.ids.append(hash(message_id) if message_id else 0)
        self._references.extend(map(hash, references))
        self._ends.append(len(self._references))

    def references(self, place: int) -> "array[int]":
        """Hashes of the ids that a message names, oldest first."""
        return self._references[self._ends[place] : self._ends[place + 1]]

    def by_date(self) -> "array[int]":
        """All places by when the messages were sent, at one moment by uid; when all are there."""
        if self._by_date is None:
            self._by_date = array("I", sorted(range(len(self)), key=self._sent.__getitem__))
        return self._by_date
