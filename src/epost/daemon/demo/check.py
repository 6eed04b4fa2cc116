"""The demo's check: the octets read are the octets sent, and each part lies where it should."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from epost.daemon.control import ask
from epost.daemon.demo.mail import compose, read_back, submit
from epost.daemon.demo.state import DemoNode, DemoState, mail_services, node_folder
from epost.foundation.errors import UnavailableError

READ_TIMEOUT_SECONDS = 60.0
COPIES_WANTED = 3
COPIES_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Reading:
    """One recipient's view of the mail."""

    user: str
    seconds: float
    is_exact: bool


@dataclass(frozen=True, slots=True)
class PartCopies:
    """One stored part: its one handle, as every recipient has it, and the nodes that hold it."""

    label: str
    handle: str
    size: int
    holders: tuple[str, ...]


@dataclass
class MailCheck:
    """What the check saw."""

    sender: str
    size: int
    accepted: str = ""
    submit_seconds: float = 0.0
    copies_wanted: int = COPIES_WANTED
    readings: list[Reading] = field(default_factory=list)
    parts: list[PartCopies] = field(default_factory=list)
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Did everything hold?"""
        return not self.reason


def check_mail(
    directory: Path, state: DemoState, lost: Sequence[DemoNode], step: Callable[[str], None]
) -> MailCheck:
    """Send the demo's mail from the first account to all others (alone: to itself).

    Machines that are `lost` take no part. Raises UnavailableError.
    """
    users = [n for n in state.nodes if n.user and n not in lost]
    if not users:
        raise UnavailableError("no machine of a user is left: choose another --dir")
    sender, readers = users[0], users[1:] or users[:1]
    message_id, octets = compose(_address(sender), [_address(r) for r in readers])
    check = MailCheck(sender=_address(sender), size=len(octets))
    check.copies_wanted = min(COPIES_WANTED, len(state.nodes))
    started = time.monotonic()
    check.accepted = submit(
        mail_services(directory, state, sender)["smtp"],
        _address(sender),
        sender.password or "",
        [_address(r) for r in readers],
        octets,
    )
    check.submit_seconds = time.monotonic() - started
    for reader in readers:
        step(f"Reading it at {reader.user}")
        got = read_back(
            mail_services(directory, state, reader)["imap"],
            _address(reader),
            reader.password or "",
            message_id,
            timeout_seconds=READ_TIMEOUT_SECONDS,
        )
        check.readings.append(Reading(_address(reader), time.monotonic() - started, got == octets))
    step("Counting the copies of its parts")
    folders = {r.name: node_folder(directory, r.name) for r in readers}
    _count_copies(check, state, folders, message_id)
    check.reason = _judge(check)
    return check


def _count_copies(
    check: MailCheck, state: DemoState, folders: dict[str, Path], message_id: str
) -> None:
    names = {n.node_id: n.name for n in state.nodes}
    deadline = time.monotonic() + COPIES_TIMEOUT_SECONDS
    while True:
        views = [ask(f, "parts", message_id=message_id)["parts"] for f in folders.values()]
        check.parts = [_copies(part, names) for part in views[0]]
        enough = all(len(p.holders) >= check.copies_wanted for p in check.parts)
        if enough or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    for view in views[1:]:
        if [p["handle"] for p in view] != [p.handle for p in check.parts]:
            check.reason = "two recipients have the same part under different handles"


def _copies(part: dict[str, Any], names: dict[str, str]) -> PartCopies:
    holders = tuple(sorted(names.get(h, h[:8]) for h in part["holders"]))
    return PartCopies(part["label"], part["handle"], part["size"], holders)


def _judge(check: MailCheck) -> str:
    if check.reason:
        return check.reason
    for reading in check.readings:
        if not reading.is_exact:
            return f"the octets read at {reading.user} are not the octets sent"
    if not check.parts:
        return "no part of the mail was stored separately"
    for part in check.parts:
        if len(part.holders) < check.copies_wanted:
            return f"{part.label} lies on {len(part.holders)} nodes, expected {check.copies_wanted}"
    return ""


def _address(node: DemoNode) -> str:
    assert node.user is not None
    return node.user
