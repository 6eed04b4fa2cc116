"""What changes in all of an account's mail, for those who watch many folders (RFC 5465)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MessagesChanged:
    """Messages of a folder came, went, or got other flags."""

    folder_id: str
    name: str
    have_come: bool = False
    have_gone: bool = False
    have_new_flags: bool = False


@dataclass(frozen=True, slots=True)
class FolderNamed:
    """A folder is new (it had no name), has another name, or is no more (it has none)."""

    folder_id: str
    old_name: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class SubscriptionChanged:
    name: str
    is_subscribed: bool


@dataclass(frozen=True, slots=True)
class AnnotationChanged:
    """A note about a folder, or about the account, was written or removed."""

    folder_name: str | None
    name: str


@dataclass(frozen=True, slots=True)
class AccountReset:
    """Everything may be different now, the meaning of UIDs as well."""


AccountChange = (
    MessagesChanged | FolderNamed | SubscriptionChanged | AnnotationChanged | AccountReset
)
AccountListener = Callable[[AccountChange], None]
