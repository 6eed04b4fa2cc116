"""Tells those who watch an account's whole mail what a few records of the log have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from epost.apps.mail.folders.account_changes import (
    AccountChange,
    AccountListener,
    AnnotationChanged,
    FolderNamed,
    MessagesChanged,
    SubscriptionChanged,
)
from epost.apps.mail.log.difference import FolderChange
from epost.apps.mail.log.fold import Annotation, Subscription


class Followers:
    """Who is told of all changes of an account."""

    def __init__(self) -> None:
        self._listeners: list[AccountListener] = []

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, listener: AccountListener) -> Callable[[], None]:
        """Tell `listener` from now on, until the returned function is called."""
        self._listeners.append(listener)

        def remove() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return remove

    def tell(self, changes: Iterable[AccountChange]) -> None:
        """Tell everybody of every change, in order."""
        for change in changes:
            for listener in tuple(self._listeners):
                listener(change)


def renamings(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[FolderNamed]:
    """Yield what became of the names of folders: first those that went, then the others."""
    if before is after:
        return
    old = {folder: name for name, folder in before.items()}
    new = {folder: name for name, folder in after.items()}
    for folder, name in old.items():
        if folder not in new:
            yield FolderNamed(folder.hex(), name, None)
    for folder, name in new.items():
        if old.get(folder) != name:
            yield FolderNamed(folder.hex(), old.get(folder), name)


def changed_subscriptions(entries: Iterable[Subscription]) -> Iterator[SubscriptionChanged]:
    """Yield what became of subscriptions."""
    return (SubscriptionChanged(entry.name, entry.is_subscribed) for entry in entries)


def changed_annotations(
    annotations: Sequence[Annotation], names: Mapping[str, bytes]
) -> Iterator[AnnotationChanged]:
    """Yield what became of notes about the account and about those folders that show."""
    if not annotations:
        return
    shown = {folder: name for name, folder in names.items()}
    for annotation in annotations:
        if not annotation.folder:
            yield AnnotationChanged(None, annotation.name)
        elif annotation.folder in shown:
            yield AnnotationChanged(shown[annotation.folder], annotation.name)


def changed_messages(
    changes: Mapping[bytes, FolderChange], names: Mapping[str, bytes]
) -> Sequence[MessagesChanged]:
    """Return what changed in those folders that show."""
    if not changes:
        return ()
    return [
        MessagesChanged(
            folder.hex(),
            name,
            have_come=bool(changes[folder].appended),
            have_gone=bool(changes[folder].expunged),
            have_new_flags=bool(changes[folder].changed),
        )
        for name, folder in names.items()
        if folder in changes
    ]
