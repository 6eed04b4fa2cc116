"""The new machine's side: it draws its keys, shows that it holds the code, enrols, settles.

What it was granted is on disk before it enrols, so a run that was cut off goes on with the same
code, without the other machine.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec

from epost.crypto.certificates import AccountCert, open_device_certificate
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import key_block_handle, open_key_block
from epost.crypto.x509 import spki_sha256
from epost.daemon.authority.world import World, system_world
from epost.daemon.config import NodeConfig
from epost.daemon.enrolment.begun import enrol
from epost.daemon.enrolment.channel import Channel, EnrolmentLimits, open_channel
from epost.daemon.enrolment.client import connect
from epost.daemon.files import write_private
from epost.daemon.folder import PENDING_PREFIX, NodeFolder
from epost.daemon.joining.membership import organisation_secret
from epost.daemon.joining.new_machine import NewMachine
from epost.daemon.joining.settling import Joined, Settling
from epost.daemon.pairing.code import DeviceCode, parse_code
from epost.daemon.pairing.host import Compare, PairingLimits
from epost.daemon.pairing.messages import (
    GRANT,
    SIZES,
    Grant,
    Offer,
    Opening,
    Step,
    commitment_to,
    digits_of,
)
from epost.foundation.codec import Format, encode
from epost.foundation.errors import (
    RefusedError,
    Unreachable,
    UntrustedCertificate,
)
from epost.foundation.ids import AccountId, Address, Bytes32, NodeHandle
from epost.foundation.wire import REFUSAL_TEXT_MAX, Refusal
from epost.post.accounts.blocks import decode_identity
from epost.post.accounts.keyring import EpochSecret, keyring_handle, open_keyring
from epost.post.accounts.new_devices import (
    DeviceSeeds,
    draw_seeds,
    first_device_block,
    public_half,
    secrets_of,
)
from epost.post.accounts.recovery import NewDevice
from epost.rings.enrolment import Enrolled, complete_device_request, sealing_key_hash
from epost.rings.invite import parse_invite

Say = Callable[[str], object]

_REFUSAL: Format[Refusal] = Format(Refusal, size_max=SIZES[Step.REFUSAL])


class _Begun(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What was granted, with the keys that it is for."""

    format: Annotated[int, msgspec.Meta(ge=1, le=1)]
    request: bytes
    node_seed: Bytes32
    seeds: DeviceSeeds
    grant: Grant


_BEGUN: Format[_Begun] = Format(_Begun, size_max=512 * 1024)


async def join_account(
    code: str,
    machine: NewMachine,
    *,
    compare: Compare,
    say: Say = lambda _: None,
    limits: PairingLimits | None = None,
) -> Joined:
    """Make a machine one more of the account whose other machine shows the code.

    Raises RefusedError (the code, the digits, the account's limits), ConfigError (a folder in use),
    UnavailableError (the other machine or the authority cannot be reached), AuthenticityError.
    """
    world = system_world()
    said = parse_code(code, world.clock.wall_ms())
    folder = machine.make_folder()
    guest = _Guest(machine, folder, world, say)
    path = folder.path / f"{PENDING_PREFIX}{said.name}"
    if path.exists():
        begun = _BEGUN.decode(path.read_bytes())
        return guest.settle(begun, await guest.prepare(begun))
    return await _Pairing(said, compare, limits or PairingLimits(), guest, path).run()


@dataclass(frozen=True, slots=True)
class _Ready:
    """All that the folder of the new machine needs, checked."""

    config: NodeConfig
    enrolled: Enrolled
    device: NewDevice
    organisation_secret: EpochSecret


class _Guest:
    """The machine that joins."""

    def __init__(self, machine: NewMachine, folder: NodeFolder, world: World, say: Say) -> None:
        self._machine = machine
        self._folder = folder
        self.site = machine.site()
        self.world = world
        self.say = say

    async def prepare(self, begun: _Begun) -> _Ready:
        """Enrol with what was granted, and check all of it."""
        world = self.world
        invite = parse_invite(begun.grant.invite, world.clock.wall_ms())
        addresses = self._machine.addresses(invite)
        self.say("Asking the authority for a place in the ring ...")
        enrolled, begun = await enrol(self._folder, invite, _BEGUN, lambda _: begun, world.clock)
        return _Ready(
            self._machine.settings(invite, addresses, enrolled),
            enrolled,
            self._device(begun, enrolled, addresses),
            organisation_secret(enrolled, begun.request, begun.seeds.sealing, world.sealing),
        )

    def settle(self, begun: _Begun, ready: _Ready) -> Joined:
        """Write the folder."""
        settling = Settling(self._folder, ready.config, ready.enrolled, self.world.entropy)
        settling.begin(begun.node_seed)
        return settling.end_as_device(ready.device, ready.organisation_secret)

    def _device(
        self, begun: _Begun, enrolled: Enrolled, addresses: tuple[Address, ...]
    ) -> NewDevice:
        """Return the device that the grant makes; raises UntrustedCertificate and the like."""
        assert enrolled.account is not None, "check_answer has seen to it"
        grant, seeds, sealing = begun.grant, begun.seeds, self.world.sealing
        _check_certificate(grant, enrolled.account, seeds, self.world)
        block = open_key_block(
            grant.identity, expected=key_block_handle(enrolled.account.account_key)
        )
        identity = decode_identity(block.body.content)
        if block.purpose is not Kind.IDENTITY or grant.certificate not in identity.devices:
            raise UntrustedCertificate("the account does not list this device")
        if identity.keyring != keyring_handle(grant.keyring).digest:
            raise UntrustedCertificate("the keyring is not the account's")
        recovery = identity.recovery_sealing_key
        if sealing_key_hash(recovery) != enrolled.account.recovery_sealing_hash:
            raise UntrustedCertificate("the recovery key is not the certified one")
        now_ms = self.world.clock.wall_ms()
        data_keys = open_keyring(
            grant.keyring,
            AccountId(enrolled.account.account_id),
            public_key=sealing.public_key(seeds.sealing),
            seed=seeds.sealing,
            sealing=sealing,
        )
        secrets = secrets_of(
            seeds,
            grant.certificate,
            recovery_sealing_key=recovery,
            data_keys=data_keys,
            now_ms=now_ms,
        )
        contact = NodeHandle(enrolled.node.ring, enrolled.node.node_id, addresses)
        return NewDevice(
            secrets, grant.keyring, first_device_block(secrets, contact, now_ms, sealing), block
        )


def _check_certificate(
    grant: Grant, account: AccountCert, seeds: DeviceSeeds, world: World
) -> None:
    certificate = open_device_certificate(grant.certificate, account)
    own = public_half(seeds, world.sealing)
    certified = certificate.device_key, certificate.root_log_key, certificate.sealing_hash
    if certified != (own.device_key, own.root_log_key, sealing_key_hash(own.sealing_key)):
        raise UntrustedCertificate("the certificate of another device")


class _Pairing:
    """The conversation with the other machine."""

    def __init__(
        self, code: DeviceCode, compare: Compare, limits: PairingLimits, guest: _Guest, path: Path
    ) -> None:
        self._code = code
        self._compare = compare
        self._limits = limits
        self._guest = guest
        self._path = path

    async def run(self) -> Joined:
        begun, ready = await self._converse()
        return self._guest.settle(begun, ready)

    async def _converse(self) -> tuple[_Begun, _Ready]:
        address = self._code.address
        dial = EnrolmentLimits(connect_seconds=self._limits.connect_seconds)
        try:
            async with open_channel(partial(connect, address, dial), SIZES) as channel:
                begun = await self._ask(channel)
                write_private(self._path, encode(begun))
                ready = await self._guest.prepare(begun)
                await self._have_it_told(channel)
                return begun, ready
        except (OSError, EOFError) as error:  # TimeoutError and SSLError too
            raise Unreachable(
                f"the other machine does not answer at {address.host} port {address.port}. Does "
                "epost device add still wait there?"
            ) from error

    async def _have_it_told(self, channel: Channel[Step]) -> None:
        """Have the other machine tell the ring; if it is gone, our daemon does that."""
        self._guest.say("Waiting for the other machine to tell the ring ...")
        try:
            await channel.send(Step.READY, b"")
            await self._receive(channel, Step.DONE, self._limits.settle_seconds)
        except RefusedError:
            self._path.unlink()  # what was granted is void
            raise
        except (OSError, EOFError):
            self._guest.say("It has gone. This machine tells the ring itself when it runs.")

    async def _ask(self, channel: Channel[Step]) -> _Begun:
        """Show the offer, get the grant; raises RefusedError, AuthenticityError, PeerError."""
        key_hash = spki_sha256(channel.peer_certificate)
        # Before anything leaves: the token is for that one listener.
        if self._code.listener and not hmac.compare_digest(self._code.listener, key_hash[:16]):
            raise UntrustedCertificate(
                "something else than your other machine answers there: do not go on"
            )
        entropy, sealing = self._guest.world.entropy, self._guest.world.sealing
        node_seed, seeds = entropy.token(32), draw_seeds(entropy)
        public = public_half(seeds, sealing)
        offer = Offer(
            format=1,
            number=entropy.token(16),
            node_key=SigningKey(node_seed).public,
            device_key=public.device_key,
            sealing_key=public.sealing_key,
            root_log_key=public.root_log_key,
        )
        data = encode(offer)
        opening = Opening(1, self._code.token, commitment_to(data))
        await channel.send(Step.OPENING, encode(opening))
        number = await self._receive(channel, Step.NUMBER, self._limits.step_seconds)
        await channel.send(Step.OFFER, data)
        if not self._code.token and not await self._compare(digits_of(key_hash, number, data)):
            raise RefusedError("the digits differ: somebody is between your machines. Nothing done")
        granting = self._limits.compare_seconds + self._limits.step_seconds
        grant = GRANT.decode(await self._receive(channel, Step.GRANT, granting))
        request = _signed(grant, offer, SigningKey(node_seed), self._guest.site)
        return _Begun(1, request, node_seed, seeds, grant)

    async def _receive(self, channel: Channel[Step], step: Step, seconds: float) -> bytes:
        async with asyncio.timeout(seconds):
            what, payload = await channel.receive(step, Step.REFUSAL)
        if what is Step.REFUSAL:
            text = _REFUSAL.decode(payload).text[:REFUSAL_TEXT_MAX]
            raise RefusedError(f"the other machine says: {text}")
        return payload


def _signed(grant: Grant, offer: Offer, node: SigningKey, site: bytes) -> bytes:
    """Return the whole request for the authority, if it is for our keys."""
    request = grant.request
    if (request.node_key, request.sealing_key) != (offer.node_key, offer.sealing_key):
        raise UntrustedCertificate("the other machine asks for another machine's place")
    return complete_device_request(request, grant.by_account, node, site=site)
