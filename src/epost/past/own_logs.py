"""Extending the clusters of this node's own logs in its own vault."""

from __future__ import annotations

from collections.abc import Sequence

from epost.foundation.errors import MalformedPacket, NoSuchBlock
from epost.foundation.ids import Handle
from epost.foundation.ports import VaultEntry
from epost.past.blocks import Proven
from epost.past.log_format import (
    LOG_RECORD,
    check_cluster,
    check_extension,
    cluster_handle,
    join_records,
    open_head,
    recall_head,
)


def prove_extension(
    stored: VaultEntry | None, cluster: Handle, records: Sequence[bytes], head: bytes
) -> tuple[Proven, bytes]:
    """Return the cluster as it will be, and the bytes to append to what is stored of it.

    Records that are stored already are passed over. Raises NoSuchBlock if earlier ones are
    missing, PeerError or BadSignature if the chain or the head does not hold.
    """
    opened = open_head(head)
    if stored is None:
        if not records or cluster_handle(records[0]) != cluster:
            raise NoSuchBlock(f"{cluster}: earlier records are missing")
        suffix = join_records(records)
        check_cluster(cluster, suffix, opened)
        return Proven(cluster, len(suffix), opened.version, opened.body_hash, proof=head), suffix
    held = recall_head(stored.proof)
    known = held.cluster_tip.sequence
    suffix = join_records([r for r in records if LOG_RECORD.decode(r).sequence > known])
    if opened.body_hash != held.body_hash:
        if opened.version <= held.version:
            raise MalformedPacket("a head that is not newer than the one stored with the cluster")
        check_extension(cluster, held, suffix, opened)
    elif suffix:
        raise MalformedPacket("more records under the same head")
    size = stored.size + len(suffix)
    return Proven(cluster, size, opened.version, opened.body_hash, proof=head), suffix
