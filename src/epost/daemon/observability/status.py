"""What `epost status`, `epost queue` and the metrics tell of a running node."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from epost import __version__
from epost.apps.mail.log.records import Stored
from epost.apps.mail.mailbox import INBOX, TextMatch, TextPlace
from epost.daemon.account.own_name import own_account
from epost.daemon.observability.ring_report import RingReport
from epost.foundation.errors import NoSuchMail
from epost.foundation.ids import BlockKind, Handle
from epost.node.assembly import Node
from epost.post.storage.references import Reference

Gauge = tuple[str, float]
"""What a number means, and the number."""


class NodeStatus:
    """Reads a node; changes nothing."""

    def __init__(self, node: Node, ring: RingReport, *, key_protection: str) -> None:
        self._node = node
        self._ring = ring
        self._key_protection = key_protection
        self._advisers: list[Callable[[], list[str]]] = []

    def also(self, advice: Callable[[], list[str]]) -> None:
        """Show this advice, too, whenever it is asked for."""
        self._advisers.append(advice)

    def overview(self) -> dict[str, Any]:
        """Return everything of interest about the node."""
        node = self._node
        name, *former_names = self._names()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "name": name,
            "former_names": former_names,
            "domain": node.issuers.trust.domain,
            "node_id": node.me.node_id.hex(),
            "keys": self._key_protection,
            "ring": {
                "ready": node.overlay.is_ready,
                "members": len(node.overlay.neighbours()) + 1,
                "enrolled": node.issuers.enrolled_storage_nodes(),
                "copies_wanted": node.issuers.replication_factor(),
                "catching_up": self._ring.is_catching_up(),
            },
            "advice": [*self._ring.advice(), *self._device_advice(), *self._further_advice()],
            "log": self._log_state(),
            "devices": self._devices(),
            "storage": self._storage(),
            "copying": node.thrift.reason() or "allowed",
            "queue": {"messages": self._waiting_count(), "calls": node.driver.calls.open_count},
        }

    def _names(self) -> Sequence[str]:
        """Return the account's name, and those that it had and that are still good."""
        account = own_account(self._node)
        return ["a storage machine"] if account is None else [account.name, *account.aliases]

    def _devices(self) -> dict[str, Any]:
        post = self._node.post
        if post is None:
            return {"others": 0, "revoked": False}
        return {"others": post.siblings.others, "revoked": post.siblings.is_revoked}

    def _further_advice(self) -> list[str]:
        return [text for adviser in self._advisers for text in adviser()]

    def _device_advice(self) -> list[str]:
        if not self._devices()["revoked"]:
            return []
        return [
            "This machine was revoked by the account's owner: it takes no mail and no changes any "
            "more. Read here what you need, then remove its data folder."
        ]

    def _log_state(self) -> str:
        post = self._node.post
        if post is None:
            return "no user's log on this node"
        if not post.log.is_confirmed:
            return "kept here until it can be compared with the ring's"
        is_safe = post.log.is_ring_durable(post.log.sequence)
        return "ring-durable" if is_safe else "being published"

    def _storage(self) -> dict[str, int]:
        vault = self._node.vault
        counts = vault.counts()
        attribution = self._node.replica.attribution()
        scrub = self._node.replica.scrubbing.report()
        return {
            "blocks": counts.blocks,
            "bytes": counts.bytes,
            "replicas": counts.replicas,
            "stand_ins": counts.stand_ins,
            "mirrored": counts.mirrored,
            "unpushed": counts.unpushed,
            "diverted": counts.diverted,
            "pointers": counts.pointers,
            "cached": counts.cached,
            "cached_bytes": counts.cached_bytes,
            "trashed": counts.trashed,
            "trashed_bytes": counts.trashed_bytes,
            "below_k": self._node.blocks.below_k(),
            "strays": self._node.replica.strays(),
            "rotten": scrub.rotten,
            "rotten_missing": scrub.missing,
            "scrubbed_percent": round(100 * scrub.part_done),
            "free_bytes": vault.free_bytes(),
            "kept_for_members": attribution.members,
            "kept_bytes": attribution.used.octets,
            "kept_notices": attribution.used.notices,
            "refused_over_quota": attribution.refused,
        }

    def metrics(self) -> Mapping[str, Gauge]:
        """Return the gauges of /metrics; no names, no addresses."""
        return {**self._storage_gauges(), **self._ring_gauges()}

    def _storage_gauges(self) -> Mapping[str, Gauge]:
        storage = self._storage()
        return {
            "blocks": ("Blocks in the vault", storage["blocks"]),
            "blocks_below_k": ("Blocks known to lie on fewer than k machines", storage["below_k"]),
            "blocks_stray": ("Blocks kept here far from their place, to be brought there",
                             storage["strays"]),
            "blocks_unpushed": ("Blocks held locally until the ring has them", storage["unpushed"]),
            "blocks_rotten": ("Blocks found rotten on the own disk since the start",
                              storage["rotten"]),
            "blocks_rotten_missing": ("Rotten blocks that have not been fetched again yet",
                                      storage["rotten_missing"]),
            "scrubbed_percent": ("How much of the vault the present round has read again",
                                 storage["scrubbed_percent"]),
            "vault_bytes": ("Bytes of all blocks in the vault", storage["bytes"]),
            "kept_bytes": ("Bytes kept for the ring, each put down to a member",
                           storage["kept_bytes"]),
            "kept_for_members": ("Members for whom something is kept here",
                                 storage["kept_for_members"]),
            "kept_notices": ("Notices kept for recipients who are away", storage["kept_notices"]),
            "refused_over_quota": ("Blocks refused since the start: their member's quota was full",
                                   storage["refused_over_quota"]),
            "blocks_diverted": ("Replicas kept for neighbours without room", storage["diverted"]),
            "blocks_pointed_to": ("Replicas of this node that neighbours keep for want of room",
                                  storage["pointers"]),
            "blocks_cached": ("Copies in spare space of what look-ups asked for",
                              storage["cached"]),
            "cached_bytes": ("Bytes of them", storage["cached_bytes"]),
            "blocks_trashed": ("Blocks whose lease is over, not yet freed", storage["trashed"]),
            "trash_bytes": ("Bytes of them", storage["trashed_bytes"]),
            "free_bytes": ("Bytes that may still be stored here", storage["free_bytes"]),
        }  # fmt: skip

    def _ring_gauges(self) -> Mapping[str, Gauge]:
        node = self._node
        groups = node.scribe.children_by_group
        return {
            "queue_messages": ("Sent messages that wait for a recipient", self._waiting_count()),
            "queue_events": ("Messages and timers that wait for their turn",
                             node.driver.waiting_events),
            "groups": ("Trees of groups that this node takes part in", len(groups)),
            "groups_joined": ("Groups that this node is a member of", len(node.scribe.groups)),
            "group_children": ("Children of this node in all trees", sum(groups.values())),
            "group_children_most": ("Children of this node in its largest tree",
                                    max(groups.values(), default=0)),
            "loss_probability_per_year": (
                "Estimated probability that the ring loses anything within a year",
                self._ring.loss().yearly_probability),
            "catching_up": ("1 if this node may have missed something",
                            float(self._ring.is_catching_up())),
            "queue_calls": ("Requests that wait for an answer", node.driver.calls.open_count),
            "ring_members": ("Live nodes in the leaf set, this one included",
                             len(node.overlay.neighbours()) + 1),
            "ring_ready": ("1 if this node is a member of its ring", float(node.overlay.is_ready)),
        }  # fmt: skip

    def _waiting_count(self) -> int:
        post = self._node.post
        return len(post.ledger.outbox) if post else 0

    async def parts(self, message_id: str) -> dict[str, Any]:
        """Return where the stored parts of a mail in the INBOX lie; raises NoSuchMail."""
        content = await self._content_of(message_id)
        references = (content.skeleton, *content.parts) if isinstance(content, Stored) else ()
        return {"parts": [await self._part(n, r) for n, r in enumerate(references)]}

    async def _content_of(self, message_id: str) -> object:
        mail = self._node.mail
        if mail is None:
            raise NoSuchMail("this node has no mailbox")
        inbox = await mail.mailbox.open(INBOX)
        match = TextMatch(TextPlace.HEADER, message_id, field="message-id")
        found = sorted(await inbox.matching(match, list(inbox.uids())))
        if not found:
            raise NoSuchMail(f"no mail {message_id} in the INBOX")
        (row,) = await inbox.rows(found[-1:])
        return mail.index.content(bytes.fromhex(row.email_id))

    async def _part(self, number: int, reference: Reference) -> dict[str, Any]:
        handle = Handle(BlockKind.CONTENT, reference.digest)
        holders = await self._node.blocks.holders(handle)
        return {
            "label": "skeleton" if number == 0 else f"part {number}",
            "handle": reference.digest.hex(),
            "size": reference.raw_length,
            "holders": [holder.hex() for holder in holders],
        }
