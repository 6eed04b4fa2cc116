"""A machine for a user who has an account already: the 24 words bring it back (crypto 2.1).

The machine enrols and joins the ring as one that only stores; reads, through the ring, what there
is of the account; and becomes the user's when all that it needs is on its disk. Its blocks reach
the ring when the daemon runs. A run that was interrupted goes on with the same invitation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Annotated

import msgspec

from epost.crypto.signing import SigningKey
from epost.daemon.authority.world import World, system_world
from epost.daemon.enrolment.begun import enrol
from epost.daemon.folder import Membership
from epost.daemon.joining.membership import organisation_secret
from epost.daemon.joining.new_machine import NewMachine
from epost.daemon.joining.recovery_words import seed_of_words
from epost.daemon.joining.settling import Joined, Settling, membership_of
from epost.daemon.process import Daemon
from epost.foundation.codec import Format
from epost.foundation.errors import NotFoundError, UnavailableError
from epost.foundation.ids import Bytes32
from epost.post.accounts.device_changes import AccountFound
from epost.post.accounts.devices import AccountKeys
from epost.post.accounts.finding import find_account
from epost.post.accounts.keyring import EpochSecret
from epost.post.accounts.recovery import NewDevice, enter_device
from epost.rings.enrolment import DeviceRequest, open_request, sign_device_request
from epost.rings.invite import Invite, parse_invite

FIND_SECONDS_MAX = 120.0
"""How long the ring is asked for the account; a ring that has just been started needs a while."""
_RETRY_SECONDS = 1.0

Say = Callable[[str], object]
"""Tells the user what is going on."""


class _Begun(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A recovery that was begun; the words are in none of it."""

    format: Annotated[int, msgspec.Meta(ge=1, le=1)]
    request: bytes
    node_seed: Bytes32
    sealing_seed: Bytes32


_BEGUN: Format[_Begun] = Format(_Begun, size_max=64 * 1024)


async def recover_account(
    invitation: str,
    words: str,
    machine: NewMachine,
    *,
    revoke: bool = True,
    say: Say = lambda _: None,
) -> Joined:
    """Make a machine one of the account's, and with `revoke` the only one.

    Raises RefusedError (words or invitation), ConfigError (a folder in use), UnavailableError (the
    authority or the ring cannot be reached), AuthenticityError.
    """
    keys = AccountKeys(seed_of_words(words))
    world = system_world()
    invite = parse_invite(invitation, world.clock.wall_ms())
    folder = machine.make_folder()
    addresses, site = machine.addresses(invite), machine.site()
    say("Asking the authority for a place in the ring ...")
    enrolled, begun = await enrol(
        folder,
        invite,
        _BEGUN,
        lambda _: _begin(invite, keys, site, world),
        world.clock,
        goes_on=lambda begun: _is_signed_with(keys, begun),
    )
    config = machine.settings(invite, addresses, enrolled)
    secret = organisation_secret(enrolled, begun.request, begun.sealing_seed, world.sealing)
    settling = Settling(folder, config, enrolled, world.entropy)
    return await _Recovery(settling, begun, secret, world, say).run(keys, revoke=revoke)


def _begin(invite: Invite, keys: AccountKeys, site: bytes, world: World) -> _Begun:
    node_seed, sealing_seed = world.entropy.token(32), world.entropy.token(32)
    request = DeviceRequest(
        format=1,
        token=invite.token,
        name=invite.name,
        account_key=keys.account.public,
        sealing_key=world.sealing.public_key(sealing_seed),
        node_key=SigningKey(node_seed).public,
        at=world.clock.wall_ms(),
    )
    node = SigningKey(node_seed)
    signed = sign_device_request(request, account=keys.account, node=node, site=site)
    return _Begun(1, signed, node_seed, sealing_seed)


def _is_signed_with(keys: AccountKeys, begun: _Begun) -> bool:
    """Whether a recovery was begun with these words; with others it was refused."""
    request = open_request(begun.request)
    return isinstance(request, DeviceRequest) and request.account_key == keys.account.public


class _Recovery:
    """From the authority's answer to a folder that is the user's."""

    def __init__(
        self,
        settling: Settling,
        begun: _Begun,
        secret: EpochSecret,
        world: World,
        say: Say,
    ) -> None:
        self._settling = settling
        self._begun = begun
        self._secret = secret
        self._world = world
        self._say = say

    async def run(self, keys: AccountKeys, *, revoke: bool) -> Joined:
        """Read the account through the ring, then write the folder; the membership last."""
        account = self._settling.enrolled.account
        assert account is not None, "check_answer has seen to it"
        self._settling.begin(self._begun.node_seed)
        device = await self._through_the_ring(keys.of(account), revoke=revoke)
        return self._settling.end_as_device(device, self._secret)

    async def _through_the_ring(self, keys: AccountKeys, *, revoke: bool) -> NewDevice:
        """Run as a machine that only stores, for as long as it takes to read the account."""
        async with AsyncExitStack() as stack:
            folder, config = self._settling.folder, self._settling.config
            daemon = Daemon(folder, config, stack, membership=self._as_storage())
            await daemon.start()
            self._say("Joining the ring and looking for the account ...")
            found = await self._find(keys, daemon)
            numbers = ", ".join(str(device.certificate.number) for device in found.devices)
            self._say(f"Found it: its machines so far are number {numbers}.")
            node = daemon.node
            return await enter_device(
                self._world.signing(keys), node.blocks, node.me, revoke=revoke
            )

    async def _find(self, keys: AccountKeys, daemon: Daemon) -> AccountFound:
        deadline = self._world.clock.now() + FIND_SECONDS_MAX
        while True:
            try:
                return await find_account(keys, daemon.node.blocks, self._world.sealing)
            except (UnavailableError, NotFoundError) as error:
                if self._world.clock.now() > deadline:
                    raise UnavailableError(f"the account cannot be read: {error}") from error
            await asyncio.sleep(_RETRY_SECONDS)

    def _as_storage(self) -> Membership:
        return msgspec.structs.replace(membership_of(self._settling.enrolled, ()), account=b"")
