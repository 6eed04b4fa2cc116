"""The way back along a log whose head one knows: cluster by cluster (paper 3.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from epost.foundation.ids import BlockKind, Handle
from epost.past.log_format import NO_CLUSTER, HeadContent, open_head, split_records


class Clusters(Protocol):
    """What of the ring is needed."""

    async def lookup_cluster(self, handle: Handle) -> tuple[bytes, bytes]:
        """Return a log's cluster: its joined records and the newest head that names it."""
        ...


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as the ring has it, and what the newest head that names it says."""

    head: HeadContent
    body: bytes

    @property
    def records(self) -> list[bytes]:
        """The records, oldest first; raises PeerError."""
        return split_records(self.body)


async def clusters_back(blocks: Clusters, newest: bytes, at_most: int) -> AsyncIterator[Cluster]:
    """Yield the cluster with this digest, then those before it, newest first, up to `at_most`.

    Nothing comes for NO_CLUSTER. Raises as `lookup_cluster`; the walk is over where one is missing.
    """
    digest = newest
    while digest != NO_CLUSTER and at_most > 0:
        body, proof = await blocks.lookup_cluster(Handle(BlockKind.CLUSTER, digest))
        cluster = Cluster(open_head(proof).content, body)
        yield cluster
        digest = cluster.head.previous_cluster
        at_most -= 1
