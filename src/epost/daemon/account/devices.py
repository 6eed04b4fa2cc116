"""The machines of an account, as its owner changes them: `epost device add` and `revoke`.

Run by the command line, which alone holds the account key, for one command; the daemon of the data
folder must be running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from epost.crypto.certificates import AccountCert, OrganisationTrust
from epost.daemon.account.door import BlocksOfDaemon
from epost.daemon.authority.world import system_world
from epost.daemon.config import NodeConfig, parse_address
from epost.daemon.control import ask
from epost.daemon.folder import NodeFolder
from epost.daemon.joining.recovery_words import seed_of_words
from epost.daemon.pairing.code import DeviceCode
from epost.daemon.pairing.host import Compare, Desk, PairingHost, PairingLimits
from epost.daemon.pairing.messages import Grant, Offer
from epost.daemon.tls import listening
from epost.foundation.durations import HOUR_MS
from epost.foundation.errors import ConfigError, RefusedError
from epost.foundation.ids import Address
from epost.post.accounts.amending import Amendment, amend_account
from epost.post.accounts.device_amendments import Admission, Revocation
from epost.post.accounts.device_changes import AccountFound, Change
from epost.post.accounts.devices import AccountKeys, Signing
from epost.post.accounts.finding import find_account
from epost.post.accounts.new_devices import DevicePublic
from epost.rings.enrolment import DeviceRequest, sign_for_account
from epost.rings.invite import Invite

REQUEST_MS_MAX = HOUR_MS
"""How long the new machine may take to enrol, should it be cut off meanwhile."""
ID_PREFIX_DIGITS_MIN = 4
Show = Callable[[DeviceCode], object]


class Owner:
    """The owner of an account at one of its machines, with her 24 words."""

    def __init__(self, data_dir: Path, words: str) -> None:
        """Raises RefusedError (not the words), ConfigError (no user's folder)."""
        self.folder = NodeFolder(data_dir)
        self.folder.require_enrolled()
        membership = self.folder.read_membership()
        if not membership.account:
            raise ConfigError(f"{data_dir} is a machine that only stores: it has no account")
        self._config: NodeConfig = self.folder.read_config()
        self.world = system_world()
        self.blocks = BlocksOfDaemon(data_dir)
        self._data_dir = data_dir
        keys = AccountKeys(seed_of_words(words))
        self.trust = OrganisationTrust(membership.organisation, membership.issuers)
        self._account = self.read_account()
        if self._account.account_key != keys.account.public:
            raise RefusedError(f"these are not the 24 words of {self._account.name}")
        self.keys = keys.of(self._account)

    def read_account(self) -> AccountCert:
        """Return the account as the machine has it now; raises AuthenticityError once it ended."""
        certificate = self.folder.read_membership().account
        return self.trust.verify_account(certificate, self.world.clock.wall_ms())

    @property
    def node_certificate(self) -> bytes:
        """The newest certificate of this machine."""
        return self.folder.read_membership().node

    @property
    def enrolment(self) -> tuple[str, ...]:
        """Where the authority's port is, as far as the settings say."""
        return self._config.ring.enrolment

    async def add_device(
        self,
        *,
        listen: str,
        authority: Sequence[str],
        compare: Compare,
        show: Show,
        say: Callable[[str], object],
        limits: PairingLimits | None = None,
    ) -> dict[str, Any]:
        """Show a code, wait for the machine that holds it, and make it one of the account's.

        `listen` and `authority` are addresses, empty for what the settings say. Raises RefusedError
        (nobody came, too many wrong tries, the account's limits), ConfigError.
        """
        enrolment = self._enrolment(authority)
        await self.find()  # complain before a code is shown

        admitted: list[tuple[Admission, Change]] = []

        async def admit(offer: Offer) -> Grant:
            public = DevicePublic(offer.device_key, offer.sealing_key, offer.root_log_key)
            admission = Admission(self._signing(), public)
            change = admission.signed(await self.find())
            admitted[:] = [(admission, change)]
            return self._grant(offer, change, enrolment)

        async def publish(_: Grant) -> None:
            admission, change = admitted[0]
            await self._amend(admission, change)

        async with PairingHost(
            self._listening(listen), self._advertised, self.world, limits
        ) as host:
            show(host.code)
            await host.serve(Desk(compare, admit, publish, say))
        return await self.devices()

    async def revoke_device(self, name: str) -> dict[str, Any]:
        """End a machine's part in the account; returns what `devices` then says.

        `name` is its number, or the start of its node id. Raises RefusedError, ConfigError.
        """
        number = number_of(name, await self.devices())
        await self._amend(Revocation(self._signing(), number))
        return await self.devices()

    async def devices(self) -> dict[str, Any]:
        """Return the machines of the account, as the running daemon reads them from the ring."""
        return await asyncio.to_thread(ask_devices, self._data_dir)

    async def find(self) -> AccountFound:
        """Return what the ring has of the account; raises as `find_account`."""
        return await find_account(self.keys, self.blocks, self.world.sealing)

    def _signing(self) -> Signing:
        return self.world.signing(self.keys)

    async def _amend(self, amendment: Amendment, begun: Change | None = None) -> None:
        await amend_account(self._signing(), self.blocks, amendment, begun=begun)

    def _grant(self, offer: Offer, change: Change, enrolment: tuple[Address, ...]) -> Grant:
        """Let the new machine enrol: the account's signature is its invitation."""
        now_ms = self.world.clock.wall_ms()
        token = self.world.entropy.token(16)
        name = self._account.name
        invite = Invite(self.trust.fingerprint, token, now_ms + REQUEST_MS_MAX, enrolment, name)
        request = DeviceRequest(
            format=1,
            token=token,
            name=name,
            account_key=self.keys.account.public,
            sealing_key=offer.sealing_key,
            node_key=offer.node_key,
            at=now_ms,
        )
        return Grant(
            format=1,
            invite=str(invite),
            request=request,
            by_account=sign_for_account(request, self.keys.account),
            certificate=change.certificate,
            keyring=change.keyring,
            identity=change.identity.data,
        )

    # Addresses.

    def _enrolment(self, said: Sequence[str]) -> tuple[Address, ...]:
        """Return where the authority enrols machines; raises ConfigError."""
        addresses = tuple(said) or self._config.ring.enrolment
        if not addresses:
            raise ConfigError(
                "where does the organisation enrol machines? Whoever runs it knows: say "
                "--authority HOST:PORT (epost status shows it on that machine)"
            )
        return tuple(parse_address(a) for a in addresses)

    def _listening(self, said: str) -> Address:
        """Return where to listen: as said, or beside the ring port, at any port."""
        if said:
            return parse_address(said)
        return Address(parse_address(self._config.ring.listen).host, 0)

    def _advertised(self, port: int) -> Address:
        """Return where the new machine reaches the listener."""
        ring = self._config.ring
        advertised = parse_address((ring.advertise or (ring.listen,))[0])
        if listening.is_wildcard(advertised):
            raise ConfigError("[ring] advertise: name the address where others reach this machine")
        return Address(advertised.host, port)


def ask_devices(data_dir: Path) -> dict[str, Any]:
    """Return the machines of the account, as the running daemon reads them from the ring."""
    return ask(data_dir, "devices")


def number_of(name: str, said: dict[str, Any]) -> int:
    """Return the number of the machine that is meant by a number or the start of a node id.

    `said` is what `devices` says; raises RefusedError.
    """
    wanted = name.lower()
    is_prefix = len(wanted) >= ID_PREFIX_DIGITS_MIN
    found = [
        int(device["number"])
        for device in said["devices"]
        if str(device["number"]) == wanted
        or (is_prefix and str(device["node_id"]).startswith(wanted))
    ]
    if len(found) != 1:
        how_many = "more than one machine" if found else "no machine"
        raise RefusedError(f"{how_many} of {said['name']} is {name}: see epost device list")
    return found[0]


def is_this_machine(name: str, said: dict[str, Any]) -> bool:
    """Whether a number or the start of a node id means the machine that one is at."""
    number = number_of(name, said)
    return any(device["this"] and device["number"] == number for device in said["devices"])
