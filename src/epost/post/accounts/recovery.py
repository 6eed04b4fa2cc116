"""A new device of an account whose phrase was given (POST 3.1; crypto 2.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from epost.crypto.certificates import recall_device
from epost.crypto.versioned import KeyBlock
from epost.foundation.errors import RefusedError
from epost.foundation.ids import BlockKind, NodeHandle
from epost.post.accounts.amending import AccountBlocks, amend_account
from epost.post.accounts.device_changes import AccountFound, Change, change_devices
from epost.post.accounts.devices import DeviceSecrets, Signing
from epost.post.accounts.new_devices import (
    DeviceSeeds,
    draw_seeds,
    first_device_block,
    public_half,
    secrets_of,
)


@dataclass(frozen=True)
class NewDevice:
    """One more device of an account; its secrets must be stored before a block is published.

    The identity block goes last: it is what makes the others count.
    """

    secrets: DeviceSecrets
    keyring: bytes
    device_block: KeyBlock
    identity: KeyBlock


async def enter_device(
    by: Signing, blocks: AccountBlocks, contact: NodeHandle, *, revoke: bool
) -> NewDevice:
    """Make one more device and list it; with `revoke` it is from now on the only one.

    `contact` is the node that it runs on. Where another change of the account is made at the same
    moment, the loser begins again with what the winner has written. What is not ring-durable when
    this returns is for the device to insert again. Raises as `find_account` and `change_devices`;
    RefusedError if the other change was to have one device only, UnavailableError if others keep
    changing the account: then it is not listed.
    """
    newcomer = _Newcomer(by, draw_seeds(by.entropy), contact, revoke)
    await amend_account(by, blocks, newcomer)
    assert newcomer.made is not None, "it is listed"
    await blocks.insert(BlockKind.KEY, newcomer.made.device_block.data, mirror=False)
    return newcomer.made


@dataclass
class _Newcomer:
    """A device that is drawn, and not listed yet, or by a version that others did not see."""

    by: Signing
    seeds: DeviceSeeds
    contact: NodeHandle
    revoke: bool
    made: NewDevice | None = None
    """As it was signed last."""

    def is_in(self, found: AccountFound) -> bool:
        return self.made is not None and self.made.secrets.certificate in found.identity.devices

    def signed(self, found: AccountFound) -> Change:
        public = public_half(self.seeds, self.by.sealing)
        if any(gone.device_key == public.device_key for gone in found.revoked_anywhere):
            raise RefusedError("another machine was made the only one of the account just now")
        mine = [d for d in found.devices if d.certificate.device_key == public.device_key]
        others = [d for d in found.devices if d not in mine]
        # One that is listed already is not certified again: its number stays.
        known = [replace(device, sealing_key=public.sealing_key) for device in mine]
        change = change_devices(
            self.by,
            replace(found, devices=(*others, *known)),
            admitted=None if mine else public,
            revoked=[device.certificate.number for device in others] if self.revoke else (),
        )
        certificate = change.certificate or _certificate_of(found, public.device_key)
        self.made = self._made(change, certificate, found.identity.recovery_sealing_key)
        return change

    def _made(self, change: Change, certificate: bytes, recovery_sealing_key: bytes) -> NewDevice:
        secrets = secrets_of(
            self.seeds,
            certificate,
            recovery_sealing_key=recovery_sealing_key,
            data_keys=change.data_keys,
            now_ms=self.by.now_ms,
        )
        by = self.by
        return NewDevice(
            secrets=secrets,
            keyring=change.keyring,
            device_block=first_device_block(secrets, self.contact, by.now_ms, by.sealing),
            identity=change.identity,
        )


def _certificate_of(found: AccountFound, device_key: bytes) -> bytes:
    for certificate in found.identity.devices:
        if recall_device(certificate).device_key == device_key:
            return certificate
    raise AssertionError("a device that is listed has a certificate there")
