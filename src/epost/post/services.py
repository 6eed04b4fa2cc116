"""What an application gets of POST: these services and nothing below them (POST 3)."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.ports import Clock, Entropy, Observer
from epost.post.accounts.contacts import Accounts
from epost.post.logs.device_log import DeviceLog
from epost.post.logs.siblings import Siblings
from epost.post.logs.snapshots import Snapshots
from epost.post.notification.notifications import Notifications
from epost.post.notification.read_receipts import ReadReceipts
from epost.post.storage.lease_ending import LeaseEnding
from epost.post.storage.message_store import MessageStore
from epost.post.storage.mirror import Mirror


@dataclass(frozen=True)
class PostServices:
    """Accounts, messages, the logs, notifications; and the ports that applications may use."""

    accounts: Accounts
    messages: MessageStore
    log: DeviceLog
    siblings: Siblings
    snapshots: Snapshots
    notifications: Notifications
    mirror: Mirror
    lease_ending: LeaseEnding
    read_receipts: ReadReceipts
    clock: Clock
    entropy: Entropy
    observer: Observer
