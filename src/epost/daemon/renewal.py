"""Renewal in the daemon: the certificates in the folder, and the way to the enrolment port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from epost.crypto.certificates import OrganisationTrust
from epost.daemon.config import parse_address
from epost.daemon.enrolment.client import request_enrolment
from epost.daemon.folder import FirstBlock, Membership, NodeFolder
from epost.daemon.tls import NodeIdentity, TlsTransport
from epost.foundation.durations import DAY_MS
from epost.foundation.ids import BlockKind
from epost.foundation.ports import Clock
from epost.node.renewal import AskDirectly, Validity
from epost.rings.invite import Invite
from epost.rings.issuers import Issuers
from epost.rings.renewal import X509_AUTHORITIES_MAX, Renewed


class FolderStanding:
    """The certificates that the membership file of a folder keeps."""

    def __init__(
        self,
        folder: NodeFolder,
        membership: Membership,
        identity: NodeIdentity,
        transport: TlsTransport,
        issuers: Issuers,
    ) -> None:
        """`issuers` has the authority's newest blocks, which are kept beside."""
        self._folder = folder
        self._membership = membership
        self._identity = identity
        self._transport = transport
        self._issuers = issuers

    @property
    def node_certificate(self) -> bytes:
        """The newest certificate of the machine."""
        return self._membership.node

    @property
    def account_certificate(self) -> bytes:
        """The newest certificate of its user's account; empty if it only stores."""
        return self._membership.account

    @property
    def x509_authorities(self) -> tuple[bytes, ...]:
        """Those that links are verified by, the one of the own leaf first."""
        return self._membership.x509_authorities

    @property
    def x509_leaf(self) -> bytes:
        """The machine's ticket to TLS."""
        return self._membership.x509_leaf

    def install(self, renewed: Renewed) -> None:
        """Write the membership, then show the certificates on new links."""
        self._membership = self._with_authority(_with(self._membership, renewed))
        self._write()
        self._identity = NodeIdentity(
            node=self._identity.node,
            certificate=self._membership.node,
            leaf=self._membership.x509_leaf,
            authorities=self._membership.x509_authorities,
            key_seed=self._identity.key_seed,
        )
        self._transport.renew(self._identity)

    def keep_authority(self) -> None:
        """Write the membership if another root key speaks for the organisation now."""
        membership = self._with_authority(self._membership)
        if membership.organisation != self._membership.organisation:
            self._membership = membership
            self._write()

    def _write(self) -> None:
        if self._folder.is_enrolled:  # else a recovery is under way, which writes it at its end
            self._folder.write_membership(self._membership)

    def _with_authority(self, membership: Membership) -> Membership:
        """Return it with the authority's newest word, once that is whole."""
        root_block = self._issuers.root_block
        if root_block is None:
            return membership
        return msgspec.structs.replace(
            membership,
            organisation=self._issuers.trust.organisation_certificate,
            issuers=self._issuers.trust.issuer_certificates,
            root_block=root_block,
            issuer_blocks=tuple(b for b in self._issuers.blocks() if b != root_block),
        )


def _with(membership: Membership, renewed: Renewed) -> Membership:
    granted = renewed.granted
    # Others still show leaves that the former authority signed.
    authorities = dict.fromkeys((*granted.x509_authorities, *membership.x509_authorities))
    account = granted.account if renewed.account else b""
    return msgspec.structs.replace(
        membership,
        node=granted.node,
        account=account,
        x509_authorities=tuple(authorities)[:X509_AUTHORITIES_MAX],
        x509_leaf=granted.x509_leaf,
        first_blocks=tuple(
            FirstBlock(block.kind, account) if block.kind == BlockKind.CERTIFICATE else block
            for block in membership.first_blocks
        ),
    )


def membership_advice(validity: Validity, clock: Clock) -> list[str]:
    """Say in plain words when the membership ends, weeks before, and why nobody renewed it."""
    if not validity.is_due or not (validity.is_warned or validity.is_denied):
        return []
    ends = [t for t in (validity.machine_until_ms, validity.account_until_ms) if t is not None]
    until = datetime.fromtimestamp(min(ends) / 1000, UTC).date().isoformat()
    days = (min(ends) - clock.wall_ms()) // DAY_MS
    when = f"ends on {until}, in {days} days" if days >= 0 else f"ended on {until}"
    why = validity.failure or "nobody was asked yet"
    return [
        f"This machine's membership {when}, and has not been renewed: {why}. After that the "
        "others refuse it; the mail that is here stays readable. Tell whoever runs the "
        "organisation: its authority's daemon must run now and then."
    ]


def asking_at_the_port(
    addresses: Sequence[str], trust: Callable[[], OrganisationTrust]
) -> AskDirectly | None:
    """Return how the authority is asked at its enrolment port, None if that is not known."""
    if not addresses:
        return None

    async def ask(request: bytes) -> bytes:
        # The port is known by the organisation's key, as for an invitation, but nothing is secret.
        where = Invite(trust().fingerprint, b"", 0, tuple(map(parse_address, addresses)))
        _, answer = await request_enrolment(where, lambda _: request)
        return answer

    return ask
