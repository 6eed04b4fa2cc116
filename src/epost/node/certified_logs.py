"""Reading an issuer's certified log from the ring (crypto 3.6)."""

from __future__ import annotations

from epost.crypto.versioned import key_block_handle
from epost.foundation.errors import StaleVersion
from epost.past.client import BlockStore
from epost.past.log_format import Head
from epost.post.logs.walk import clusters_back

CLUSTERS_READ_MAX = 2_000
"""At one look: 100,000 entries. What is older was looked at before, or is from before our time."""


async def newest_head(blocks: BlockStore, log_key: bytes) -> bytes | None:
    """Return the head of a certified log, None if there is none; raises UnavailableError."""
    try:
        reading = await blocks.lookup_latest(key_block_handle(log_key))
    except StaleVersion:
        return None  # replicas that went back; the others will say the newest
    return reading.block


async def records_from(blocks: BlockStore, head: Head, start: int) -> list[bytes]:
    """Return the records from the cluster with `start` on; raises PeerError, NotFoundError."""
    found: list[list[bytes]] = []
    async for cluster in clusters_back(blocks, head.content.cluster, CLUSTERS_READ_MAX):
        found.append(cluster.records)
        if cluster.head.first_sequence <= start:
            break
    return [record for records in reversed(found) for record in records]
