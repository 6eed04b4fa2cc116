"""What an application gets of POST: these services and nothing below them (POST 3)."""

from __future__ import annotations

from dataclasses import dataclass

from epost.foundation.ports import Clock, Entropy, Observer
from epost.post.accounts import Accounts
from epost.post.device_log import DeviceLog
from epost.post.lease_ending import LeaseEnding
from epost.post.message_store import MessageStore
from epost.post.mirror import Mirror
from epost.post.notification import Notifications
from epost.post.read_receipts import ReadReceipts
from epost.post.siblings import Siblings
from epost.post.snapshots import Snapshots


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
