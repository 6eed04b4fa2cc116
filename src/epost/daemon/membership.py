"""Becoming a member: founding an organisation, or joining one with an invitation.

What must be kept is on disk before the request leaves, and the request is repeated byte for byte
after a crash, so the issuer gives the same answer (crypto 3.8). The membership file comes last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from mnemonic import Mnemonic

from epost.crypto.certificates import NodeCert, OrganisationTrust
from epost.crypto.hashing import derive
from epost.crypto.names import canonical
from epost.crypto.sealing import HpkeSealing
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import make_key_block, open_key_block
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.service import EnrolmentService
from epost.daemon.authority.world import World
from epost.daemon.config import (
    AuthoritySection,
    NodeConfig,
    RingSection,
    format_address,
    parse_address,
)
from epost.daemon.enrolment.begun import enrol
from epost.daemon.files import make_private_folder
from epost.daemon.folder import FirstBlock, Membership, NodeFolder
from epost.daemon.passwords import PasswordFile
from epost.daemon.tls import listening
from epost.daemon.world import SystemClock, SystemEntropy
from epost.foundation.codec import Format, encode
from epost.foundation.errors import (
    ConfigError,
    MalformedPacket,
    RefusedError,
    UntrustedCertificate,
)
from epost.foundation.ids import Address, BlockKind, Bytes32, NodeHandle
from epost.foundation.ports import Sealing
from epost.post.account_blocks import decode_device_info
from epost.post.devices import DEVICE_SECRETS, DeviceSecrets
from epost.post.keyring import EpochSecret
from epost.post.new_devices import NewAccount, create_account
from epost.rings.enrolment import (
    Enrolled,
    MemberRequest,
    StorageRequest,
    request_hash,
    sign_member_request,
    sign_storage_request,
)
from epost.rings.invite import Invite, parse_invite
from epost.rings.policy import read_issuer_block
from epost.rings.sites import canonical_site

FIRST_APPLICATION = "first mail program"
UNKNOWN_NODE = bytes(20)


def system_world() -> World:
    """Return the real ports of an authority or a new member."""
    return World(SystemClock(), SystemEntropy(), HpkeSealing())


@dataclass(frozen=True, slots=True)
class Joined:
    """What a new member is told, some of it only once."""

    name: str
    domain: str
    node_id: str
    recovery_words: str
    password: str
    imap: str
    smtp: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class _Pending(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An enrolment that was begun: enough to repeat the request and to finish."""

    format: Annotated[int, msgspec.Meta(ge=1, le=1)]
    request: bytes
    node_seed: Bytes32
    recovery_seed: bytes
    secrets: bytes
    identity: bytes
    keyring: bytes
    device_info: bytes


_PENDING: Format[_Pending] = Format(_Pending, size_max=2 * 1024 * 1024)


async def found_organisation(
    domain: str,
    user: str,
    data_dir: Path,
    authority_dir: Path,
    *,
    listen: str,
    enrol_listen: str,
    quota_mib: int = 0,
    config: NodeConfig | None = None,
) -> Joined:
    """Make an authority and enrol this machine as the first member and founder of the ring.

    `quota_mib` is how much each member may store, 0 for no limit.
    """
    world = system_world()
    address = parse_address(enrol_listen)
    name = canonical(user if "@" in user else f"{user}@{domain}")
    _require_foundable(data_dir, address)
    with Authority.create(authority_dir, domain, address, world) as authority:
        if quota_mib:
            authority.change_rules({"quota_mib": quota_mib})
        invitation = authority.invite(name)
        async with EnrolmentService(authority, address, world):
            return await join_organisation(
                invitation,
                data_dir,
                listen=listen,
                founder=True,
                authority=AuthoritySection(directory=str(authority_dir), listen=enrol_listen),
                config=config,
            )


def _require_foundable(data_dir: Path, enrolment: Address) -> None:
    """Complain before an authority is made: it cannot be founded twice on one folder."""
    if listening.is_wildcard(enrolment):
        raise ConfigError("invitations name the enrolment address: say one that others can reach")
    require_free(NodeFolder(data_dir))
    listening.listen(enrolment, purpose="enrolment").close()


def require_free(folder: NodeFolder) -> None:
    """Raise ConfigError if a folder is a member's already."""
    if folder.is_enrolled:
        raise ConfigError(f"{folder.path} is the folder of a member already; choose another")


async def join_organisation(
    invitation: str,
    data_dir: Path,
    *,
    listen: str,
    advertise: Sequence[str] = (),
    founder: bool = False,
    authority: AuthoritySection | None = None,
    config: NodeConfig | None = None,
) -> Joined:
    """Enrol this machine with an invitation and write its data folder.

    Raises RefusedError (a bad invitation), ConfigError (a folder in use), UnavailableError (the
    authority cannot be reached), AuthenticityError (it is not the authority of the invitation).
    """
    world = system_world()
    invite = parse_invite(invitation, world.clock.wall_ms())
    folder = NodeFolder(make_private_folder(data_dir))
    require_free(folder)
    addresses = own_addresses(listen, advertise, invite)
    config = config or NodeConfig()
    site = own_site(config)
    enrolled, pending = await enrol(
        folder,
        invite,
        _PENDING,
        lambda trust: _begin(invite, trust, addresses, site, world),
        world.clock,
    )
    config = msgspec.structs.replace(
        config,
        ring=ring_section(listen, addresses, invite, enrolled, founder=founder),
        authority=authority or config.authority,
    )
    return _settle(folder, config, enrolled, pending, addresses, world)


def own_addresses(listen: str, advertise: Sequence[str], invite: Invite) -> tuple[Address, ...]:
    """Return where others reach this machine: as said, or on the way to the authority."""
    said = tuple(parse_address(a) for a in advertise)
    return said or (listening.reachable_address(parse_address(listen), invite.addresses[0]),)


def own_site(config: NodeConfig) -> bytes:
    """Return the site that the settings name, as it is certified; raises ConfigError."""
    try:
        return canonical_site(config.ring.site)
    except MalformedPacket as error:
        raise ConfigError(f"[ring] site: {error}") from error


def ring_section(
    listen: str,
    addresses: Sequence[Address],
    invite: Invite,
    enrolled: Enrolled,
    *,
    founder: bool = False,
) -> RingSection:
    """Return the settings by which the new node finds the ring, and is found."""
    contacts = tuple(
        f"{node.node_id.hex()}@{format_address(a)}"
        for node in enrolled.answer.contacts
        for a in node.addresses[:1]
    )
    return RingSection(
        listen=listen,
        advertise=tuple(format_address(a) for a in addresses),
        bootstrap=contacts,
        founder=founder,
        site=enrolled.node.site.decode(),
        enrolment=tuple(format_address(a) for a in invite.addresses),
    )


def _begin(
    invite: Invite,
    trust: OrganisationTrust,
    addresses: tuple[Address, ...],
    site: bytes,
    world: World,
) -> _Pending:
    node_seed = world.entropy.token(32)
    now = world.clock.wall_ms()
    if not invite.name:
        storage = StorageRequest(1, invite.token, SigningKey(node_seed).public, now)
        signed = sign_storage_request(storage, node=SigningKey(node_seed), site=site)
        return _Pending(1, signed, node_seed, b"", b"", b"", b"", b"")
    if not invite.name.endswith("@" + trust.domain):
        raise RefusedError(f"{invite.name} is not a name of {trust.domain}")
    recovery_seed = world.entropy.token(32)
    contact = NodeHandle(trust.ring, UNKNOWN_NODE, addresses)
    account = create_account(
        recovery_seed, contact=contact, now_ms=now, sealing=world.sealing, entropy=world.entropy
    )
    request = _member_request(invite, account, node_seed, now, world)
    signed = sign_member_request(
        request,
        account=account.keys.account,
        recovery=account.keys.recovery,
        node=SigningKey(node_seed),
        site=site,
    )
    return _Pending(
        1,
        signed,
        node_seed,
        recovery_seed,
        encode(account.secrets),
        account.identity.data,
        account.keyring,
        account.device_block.body.content,
    )


def _member_request(
    invite: Invite, account: NewAccount, node_seed: bytes, now: int, world: World
) -> MemberRequest:
    return MemberRequest(
        format=1,
        token=invite.token,
        name=invite.name,
        account_key=account.keys.account.public,
        recovery_key=account.keys.recovery.public,
        recovery_sealing_key=account.recovery_sealing_key,
        device=account.device_certificate,
        device_sealing_key=world.sealing.public_key(account.secrets.sealing_seed),
        node_key=SigningKey(node_seed).public,
        at=now,
    )


def _settle(
    folder: NodeFolder,
    config: NodeConfig,
    enrolled: Enrolled,
    pending: _Pending,
    addresses: tuple[Address, ...],
    world: World,
) -> Joined:
    """Write the folder; the membership last, since it says that the folder is whole."""
    node: NodeCert = enrolled.node
    folder.write_node_key(pending.node_seed, world.entropy)
    folder.write_config(config)
    words, password = "", ""
    first_blocks: tuple[FirstBlock, ...] = ()
    if enrolled.account is not None:
        secrets = _with_organisation_secret(pending, enrolled, world)
        folder.write_device_secrets(secrets, world.entropy)
        contact = NodeHandle(node.ring, node.node_id, addresses)
        first_blocks = _first_blocks(pending, enrolled, secrets, contact, world)
        words = Mnemonic("english").to_mnemonic(pending.recovery_seed)
        passwords = PasswordFile(folder.path)
        passwords.create(enrolled.account.name)
        password = passwords.add(FIRST_APPLICATION)
    folder.write_membership(membership_of(enrolled, first_blocks))
    folder.forget_enrolment()
    return Joined(
        name=enrolled.account.name if enrolled.account else "a storage machine",
        domain=enrolled.trust.domain,
        node_id=node.node_id.hex(),
        recovery_words=words,
        password=password,
        imap=config.mail.imap,
        smtp=config.mail.smtp,
    )


def membership_of(enrolled: Enrolled, first_blocks: Sequence[FirstBlock]) -> Membership:
    """Return what a folder keeps of an enrolment."""
    answer = enrolled.answer
    return Membership(
        1,
        answer.organisation,
        answer.issuers,
        answer.node,
        answer.account,
        answer.x509_authorities,
        answer.x509_leaf,
        answer.root_block,
        answer.issuer_blocks,
        tuple(first_blocks),
    )


def _with_organisation_secret(pending: _Pending, enrolled: Enrolled, world: World) -> DeviceSecrets:
    secrets = DEVICE_SECRETS.decode(pending.secrets)
    epoch = organisation_secret(enrolled, pending.request, secrets.sealing_seed, world.sealing)
    return msgspec.structs.replace(secrets, organisation_secrets=(epoch,))


def organisation_secret(
    enrolled: Enrolled, request: bytes, sealing_seed: bytes, sealing: Sealing
) -> EpochSecret:
    """Open the organisation's secret in an answer; raises AuthenticityError, PeerError."""
    block = open_key_block(enrolled.answer.issuer_blocks[0])
    _, content = read_issuer_block(block, enrolled.trust.issuers, enrolled.trust.ring)
    secret = sealing.unseal(
        sealing_seed, "org-secret", request_hash(request), enrolled.answer.sealed_secret
    )
    # All members must have been given the same secret: the policy commits to it.
    if derive(secret, "commit").commitment != content.policy.secret_commitment:
        raise UntrustedCertificate("the organisation secret is not the one that the policy names")
    return EpochSecret(content.policy.secret_epoch, secret)


def _first_blocks(
    pending: _Pending,
    enrolled: Enrolled,
    secrets: DeviceSecrets,
    contact: NodeHandle,
    world: World,
) -> tuple[FirstBlock, ...]:
    # The node id is known only now, so the device block is signed now: it is still version 1.
    info = msgspec.structs.replace(decode_device_info(pending.device_info), contact=contact)
    device = make_key_block(
        SigningKey(secrets.signing_seed),
        Kind.DEVBLOCK,
        ring=contact.ring,
        previous=None,
        issued_at=world.clock.wall_ms(),
        content=encode(info),
    )
    return (
        FirstBlock(BlockKind.CERTIFICATE, enrolled.answer.account),
        FirstBlock(BlockKind.KEY, pending.identity),
        FirstBlock(BlockKind.CONTENT, pending.keyring),
        FirstBlock(BlockKind.KEY, device.data),
    )
