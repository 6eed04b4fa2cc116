"""Small joints between parts that must not know each other."""

from __future__ import annotations

from collections.abc import Callable

from epost.crypto.certificates import DeviceCert
from epost.foundation.ids import Handle, Id
from epost.post.notification.delegation import Delegation
from epost.scribe.machine import Scribe


class AwakeGroups:
    """Scribe for stories: what they ask for outside of a turn is performed soon."""

    def __init__(self, scribe: Scribe, wake: Callable[[], None]) -> None:
        self._scribe = scribe
        self._wake = wake

    def join(self, group: Id) -> None:
        """Receive what is multicast to the group."""
        self._scribe.join(group)
        self._wake()

    def leave(self, group: Id) -> None:
        """Receive it no longer."""
        self._scribe.leave(group)
        self._wake()

    def multicast(self, group: Id, body: bytes) -> None:
        """Send to everybody in the group, best effort."""
        self._scribe.multicast(group, body)
        self._wake()


class PendingUpcalls:
    """What a replica tells of pending notices, before and after its listener is made.

    The replica is made first, and the delegation needs the block store that stands on the replica.
    """

    def __init__(self) -> None:
        self.delegation: Delegation | None = None

    def on_pending_held(self, handle: Handle, envelope: bytes) -> None:
        """A notice was stored here, or is found again after a start."""
        self._told().on_pending_held(handle, envelope)

    def on_pending_gone(self, handle: Handle) -> None:
        """A notice was settled, or its time is over."""
        self._told().on_pending_gone(handle)

    def is_device_revoked(self, device: DeviceCert) -> bool:
        """Does the newest identity block known here revoke this device?"""
        return self._told().is_device_revoked(device)

    def _told(self) -> Delegation:
        assert self.delegation is not None, "a node starts after it was put together"
        return self.delegation
