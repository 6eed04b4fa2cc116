"""Bringing an issuer's certified log into the ring, as far as the ring takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from epost.daemon.authority.log_publication import LogPublication
from epost.foundation.errors import RefusedError, UnavailableError
from epost.foundation.ids import BlockKind
from epost.foundation.ports import Observer
from epost.node.assembly import Node


@dataclass(frozen=True, slots=True)
class LogNotPublished:
    """The ring did not take the issuer's log up to here; it is tried again."""

    sequence: int
    reason: str


async def publish_log(
    log: LogPublication,
    node: Node,
    observer: Observer,
    *,
    waits: Callable[[], bool] = lambda: False,
) -> None:
    """Bring into the ring what was entered in the log since the last time, unless it waits."""
    while not waits() and (step := log.next_step()) is not None:
        try:
            await node.blocks.extend(step.cluster, step.records, step.head)
            await node.blocks.insert(BlockKind.KEY, step.head)
        except (RefusedError, UnavailableError) as error:
            observer.record(LogNotPublished(step.sequence, str(error)))
            return
        log.published(step)
