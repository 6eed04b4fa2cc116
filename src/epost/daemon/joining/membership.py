"""Becoming a member: founding an organisation, or joining one with an invitation.

What must be kept is on disk before the request leaves, and the request is repeated byte for byte
after a crash, so the issuer gives the same answer (crypto 3.8). The membership file comes last.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec

from epost.crypto.certificates import OrganisationTrust, recall_account, recall_node
from epost.crypto.hashing import derive
from epost.crypto.names import canonical
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import make_key_block, open_key_block
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.service import EnrolmentService
from epost.daemon.authority.world import World, system_world
from epost.daemon.config import AuthoritySection, parse_address
from epost.daemon.enrolment.begun import enrol
from epost.daemon.folder import FirstBlock, NodeFolder
from epost.daemon.joining.new_machine import NewMachine
from epost.daemon.joining.recovery_words import words_of_seed
from epost.daemon.joining.settling import FIRST_APPLICATION, Joined, Settling
from epost.daemon.mail_programs.passwords import PasswordFile
from epost.daemon.tls import listening
from epost.foundation.codec import Format, encode
from epost.foundation.errors import ConfigError, PeerError, RefusedError, UntrustedCertificate
from epost.foundation.ids import Address, BlockKind, Bytes32, NodeHandle
from epost.foundation.ports import Sealing
from epost.post.accounts.blocks import decode_device_info
from epost.post.accounts.devices import DEVICE_SECRETS, DeviceSecrets
from epost.post.accounts.keyring import EpochSecret
from epost.post.accounts.new_devices import NewAccount, create_account
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

UNKNOWN_NODE = bytes(20)


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
    machine: NewMachine,
    authority_dir: Path,
    *,
    enrol_listen: str,
    quota_mib: int = 0,
) -> Joined:
    """Make an authority and enrol this machine as the first member and founder of the ring.

    `quota_mib` is how much each member may store, 0 for no limit. As `join_organisation`.
    """
    if (unseen := unseen_words(machine.data_dir)) is not None:
        return unseen
    world = system_world()
    address = parse_address(enrol_listen)
    name = canonical(user if "@" in user else f"{user}@{domain}")
    _require_foundable(machine, address)
    section = AuthoritySection(directory=str(authority_dir), listen=enrol_listen)
    machine = replace(machine, config=msgspec.structs.replace(machine.config, authority=section))
    with Authority.create(authority_dir, domain, address, world) as authority:
        if quota_mib:
            authority.change_rules({"quota_mib": quota_mib})
        invitation = authority.invite(name)
        async with EnrolmentService(authority, address, world):
            return await join_organisation(invitation, machine, founder=True)


def _require_foundable(machine: NewMachine, enrolment: Address) -> None:
    """Complain before an authority is made: it cannot be founded twice on one folder."""
    if listening.is_wildcard(enrolment):
        raise ConfigError("invitations name the enrolment address: say one that others can reach")
    machine.require_free()
    machine.site()
    listening.listen(parse_address(machine.listen), purpose="--listen").close()
    listening.listen(enrolment, purpose="--enrol-listen").close()


async def join_organisation(
    invitation: str, machine: NewMachine, *, founder: bool = False
) -> Joined:
    """Enrol a machine with an invitation and write its data folder.

    The recovery words are in the folder until they were shown: say so by `forget_enrolment`. Until
    then the same call returns them again, with another first password, and does nothing else.
    Raises RefusedError (a bad invitation), ConfigError (a folder in use), UnavailableError (the
    authority cannot be reached), AuthenticityError (it is not the authority of the invitation).
    """
    if (unseen := unseen_words(machine.data_dir)) is not None:
        return unseen
    world = system_world()
    invite = parse_invite(invitation, world.clock.wall_ms())
    folder = machine.make_folder()
    addresses, site = machine.addresses(invite), machine.site()
    enrolled, pending = await enrol(
        folder,
        invite,
        _PENDING,
        lambda trust: _begin(invite, trust, addresses, site, world),
        world.clock,
    )
    config = machine.settings(invite, addresses, enrolled, founder=founder)
    settling = Settling(folder, config, enrolled, world.entropy)
    return _settle(settling, pending, addresses, world)


def unseen_words(data_dir: Path) -> Joined | None:
    """Return what a new member was not told because the machine died right then; None if she was.

    Raises ConfigError if the folder is damaged.
    """
    folder = NodeFolder(data_dir)
    for pending in folder.enrolments() if folder.is_enrolled else ():
        membership = folder.read_membership()
        node = recall_node(membership.node)
        try:
            begun = _PENDING.decode(pending)
        except PeerError:
            continue  # of another kind, or a later version's
        if begun.recovery_seed and SigningKey(begun.node_seed).public == node.node_key:
            account, mail = recall_account(membership.account), folder.read_config().mail
            return Joined(
                name=account.name,
                domain=account.name.partition("@")[2],
                node_id=node.node_id.hex(),
                recovery_words=words_of_seed(begun.recovery_seed),
                password=PasswordFile(data_dir).add(FIRST_APPLICATION),
                imap=mail.imap,
                smtp=mail.smtp,
            )
    return None


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
    settling: Settling, pending: _Pending, addresses: tuple[Address, ...], world: World
) -> Joined:
    enrolled = settling.enrolled
    settling.begin(pending.node_seed)
    if enrolled.account is None:
        return settling.end_as_storage()
    secrets = _with_organisation_secret(pending, enrolled, world)
    contact = NodeHandle(enrolled.node.ring, enrolled.node.node_id, addresses)
    first_blocks = _first_blocks(pending, enrolled, secrets, contact, world)
    joined = settling.end_as_user(secrets, first_blocks)
    return replace(joined, recovery_words=words_of_seed(pending.recovery_seed))


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
