"""The mail index in memory: the twin of `daemon.mail_index`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import msgspec

from epost.apps.mail.index import (
    Batch,
    FolderRow,
    IndexState,
    MailFacts,
    PlacedMail,
    Rendition,
    RowColumns,
)
from epost.apps.mail.log.fold import Annotation, Placement, Subscription
from epost.apps.mail.log.records import Content
from epost.apps.mail.mailbox import TextMatch
from epost.apps.mail.renditions.text_search import matches


class SimulatedMailIndex:
    """All tables as dictionaries; a deep copy stands for what a crash leaves on disk."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Empty the index."""
        self._state: IndexState | None = None
        self._folders: dict[bytes, FolderRow] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._annotations: dict[tuple[bytes, str], Annotation] = {}
        self._facts: dict[bytes, MailFacts] = {}
        self._contents: dict[bytes, Content] = {}
        self._places: dict[bytes, list[bytes]] = defaultdict(list)
        self._emails: dict[int, bytes] = {}
        self._renditions: dict[bytes, Rendition] = {}
        self._placements: dict[bytes, tuple[Placement, int]] = {}
        self._uids: dict[bytes, dict[int, bytes]] = defaultdict(dict)
        self._vanished: dict[bytes, list[tuple[int, int]]] = defaultdict(list)

    def close(self) -> None:
        """Nothing to finish."""

    def state(self) -> IndexState | None:
        return self._state

    def folders(self) -> Sequence[FolderRow]:
        return list(self._folders.values())

    def subscriptions(self) -> Sequence[Subscription]:
        return list(self._subscriptions.values())

    def annotations(self) -> Sequence[Annotation]:
        return list(self._annotations.values())

    def placements(self, names: Collection[bytes]) -> Mapping[bytes, tuple[Placement, int]]:
        return {name: self._placements[name] for name in names if name in self._placements}

    def places_of(self, emails: Collection[bytes]) -> Sequence[bytes]:
        return [name for email in emails for name in self._places.get(email, ())]

    def facts(self, emails: Collection[bytes]) -> Mapping[bytes, MailFacts]:
        return {email: self._facts_of(email) for email in emails if email in self._facts}

    def _facts_of(self, email: bytes) -> MailFacts:
        rendition = self._renditions.get(email)
        sent = rendition.sent if rendition else None
        return msgspec.structs.replace(self._facts[email], sent=sent)

    def content(self, email: bytes) -> Content | None:
        return self._contents.get(email)

    def commit(self, batch: Batch) -> None:
        """Write all; nothing here can fail half-way."""
        self._state = batch.state
        self._folders.update((row.state.folder, row) for row in batch.folders)
        self._subscriptions.update((entry.name, entry) for entry in batch.subscriptions)
        self._annotations.update((note.key, note) for note in batch.annotations)
        for facts, content in batch.mails:
            self._facts[facts.email] = facts
            self._contents[facts.email] = content
            self._emails.setdefault(facts.position, facts.email)
        self._renditions.update(batch.renditions)
        for email, text in batch.file_texts:
            self._add_file_text(email, text)
        for placement, modseq in (*batch.placements, *batch.flagged, *batch.numbered):
            self._put_placement(placement, modseq)
        for folder, modseq, uid in batch.vanished:
            self._vanished[folder].append((modseq, uid))

    def _add_file_text(self, email: bytes, text: str) -> None:
        known = self._renditions.get(email)
        if known is None:
            return
        body_text = f"{known.body_text}\n{text}" if text else known.body_text
        self._renditions[email] = replace(known, body_text=body_text, brings_files=False)

    def _put_placement(self, placement: Placement, modseq: int) -> None:
        known = self._placements.get(placement.name)
        if known is not None and known[0].uid:
            del self._uids[known[0].folder][known[0].uid]
        self._placements[placement.name] = (placement, modseq)
        if placement.email is not None and (known is None or known[0].email is None):
            self._places[placement.email].append(placement.name)
        if placement.uid:
            self._uids[placement.folder][placement.uid] = placement.name

    def folder_rows(self, folder: bytes, after_uid: int, limit: int) -> Sequence[PlacedMail]:
        numbers = sorted(uid for uid in self._uids[folder] if uid > after_uid)
        placed = (self._placements[self._uids[folder][uid]] for uid in numbers)
        known = (
            PlacedMail(placement, modseq, self._facts_of(placement.email))
            for placement, modseq in placed
            if placement.email in self._facts
        )
        return list(islice(known, limit))

    def folder_columns(self, folder: bytes, after_uid: int, limit: int) -> RowColumns:
        return RowColumns.of(self.folder_rows(folder, after_uid, limit))

    def contents(self, positions: Collection[int]) -> Mapping[int, Content]:
        known = ((position, self._emails.get(position, b"")) for position in positions)
        return {p: self._contents[email] for p, email in known if email in self._contents}

    def envelopes(self, positions: Collection[int]) -> Mapping[int, bytes]:
        return {p: entry.rendered.envelope for p, entry in self._rendered(positions)}

    def structures(self, positions: Collection[int]) -> Mapping[int, tuple[bytes, bytes]]:
        return {
            p: (entry.rendered.body, entry.rendered.bodystructure)
            for p, entry in self._rendered(positions)
        }

    def headers(self, positions: Collection[int]) -> Mapping[int, bytes | None]:
        return {p: entry.header for p, entry in self._rendered(positions)}

    def containing(self, match: TextMatch, positions: Collection[int]) -> frozenset[int]:
        return frozenset(
            p
            for p, entry in self._rendered(positions)
            if matches(match, entry.header_text, entry.body_text)
        )

    def _rendered(self, positions: Collection[int]) -> Iterator[tuple[int, Rendition]]:
        for position in positions:
            entry = self._renditions.get(self._emails.get(position, b""))
            if entry is not None:
                yield position, entry

    def vanished(self, folder: bytes, after_modseq: int) -> Sequence[int]:
        return sorted(uid for modseq, uid in self._vanished[folder] if modseq > after_modseq)

    def count_from(self, folder: bytes, uid: int) -> int:
        return sum(1 for number in self._uids[folder] if number >= uid)

    def unnumbered(self, limit: int) -> Sequence[Placement]:
        waiting = (
            placement
            for placement, _ in self._placements.values()
            if placement.is_alive and not placement.uid and placement.email in self._facts
        )
        return list(islice(waiting, limit))

    def unrendered(self, limit: int, after: int = 0) -> Sequence[tuple[int, bytes]]:
        waiting = (
            (position, email)
            for position, email in self._emails.items()
            if position > after and email not in self._renditions and self._is_in_a_folder(email)
        )
        return list(islice(waiting, limit))

    def with_unread_files(self, after: int = 0) -> tuple[int, bytes] | None:
        waiting = (
            (position, email)
            for position, email in sorted(self._emails.items())
            if position > after and email in self._renditions
            if self._renditions[email].brings_files and self._is_in_a_folder(email)
        )
        return next(waiting, None)

    def contents_of_mails(
        self, limit: int, after: int = 0, *, in_folders: bool
    ) -> Sequence[tuple[int, Content | None]]:
        found = (
            (position, self._contents[email] if self._is_in_a_folder(email) is in_folders else None)
            for position, email in sorted(self._emails.items())
            if position > after
        )
        return list(islice(found, limit))

    def _is_in_a_folder(self, email: bytes) -> bool:
        return any(self._placements[name][0].is_alive for name in self._places[email])

    def forget_vanished(self, folder: bytes, keep: int) -> int:
        newest = sorted(self._vanished[folder], reverse=True)
        self._vanished[folder] = newest[:keep]
        return newest[keep][0] + 1 if len(newest) > keep else 0
