"""Who a name is: certificate, identity, devices (POST 3.1; crypto 3, 4.4).

name -> certificate block -> account key -> identity block -> device keys -> device blocks. Every
step is verified with the key that the step before gave. Replicas of all of them are asked, and
what was once seen is pinned there, so that no old version comes back. Keys that are not an
account's first are believed if they descend from it (`crypto.rekeying`).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from epost.crypto.certificates import (
    AccountCert,
    DeviceCert,
    open_device_certificate,
    recall_account,
)
from epost.crypto.names import canonical, certificate_digest
from epost.crypto.rekeying import descent
from epost.crypto.signing import Kind
from epost.crypto.versioned import key_block_handle, open_key_block
from epost.foundation.errors import (
    AuthenticityError,
    MalformedPacket,
    NoSuchUser,
    PeerError,
    RevokedCertificate,
    UnavailableError,
    UntrustedCertificate,
)
from epost.foundation.ids import BlockKind, Handle, NodeHandle
from epost.foundation.ports import Clock
from epost.past.client import Answered
from epost.post.accounts.blocks import (
    DeviceInfo,
    Identity,
    IdentityFlag,
    RevokedDevice,
    decode_device_info,
    decode_identity,
)
from epost.post.accounts.devices import Device
from epost.post.config import PostConfig
from epost.post.parallel import in_parallel
from epost.post.ports import BlockStore, Directory
from epost.post.shared import Shared
from epost.rings.enrolment import sealing_key_hash

CONTACTS_CACHED_MAX = 2000
LOOKUPS_AT_ONCE = 8


class NobodyFound(NoSuchUser):
    """No certificate of a name is where it should be, in the part of the ring that answers.

    Nothing signed says so: a part that is cut off now may have it.
    """


@dataclass(frozen=True, slots=True)
class ContactDevice:
    """A device of somebody: its certificate, and what its own block says.

    `info` is None if the device has no block in the ring yet, or an unreadable one: it cannot be
    reached or sealed to, but what it signs counts.
    """

    certificate: DeviceCert
    info: DeviceInfo | None


@dataclass(frozen=True, slots=True)
class Contact:
    """Everything that is publicly known and verified about one account."""

    name: str
    certificate: bytes
    account: AccountCert
    identity: Identity
    devices: tuple[ContactDevice, ...]
    keys: tuple[bytes, ...]
    """The account's keys from the first to this one."""

    @property
    def addresses(self) -> tuple[NodeHandle, ...]:
        """The contact addresses of its devices."""
        return tuple(device.info.contact for device in self.devices if device.info is not None)

    @property
    def sealing_keys(self) -> tuple[bytes, ...]:
        """The keys to seal to: each device's newest prekey, and the recovery key unless strict."""
        prekeys = tuple(d.info.newest_prekey.public_key for d in self.devices if d.info is not None)
        if self.identity.flags & IdentityFlag.STRICT_FORWARD_SECRECY:
            return prekeys
        return (*prekeys, self.identity.recovery_sealing_key)

    def has_had_keys_of(self, account: AccountCert) -> bool:
        """Are the keys of a certificate this account's, or did these follow them?"""
        if account.generation >= self.account.generation:
            return self.account.has_keys_of(account)
        is_hers = account.account_id == self.account.account_id
        return is_hers and self.keys[account.generation] == account.account_key

    def require_later_than(self, account: AccountCert) -> None:
        """Raise UntrustedCertificate unless these keys followed those of a certificate."""
        if self.account.generation <= account.generation or not self.has_had_keys_of(account):
            raise UntrustedCertificate(f"other keys are certified for {self.name}")

    def device(self, key: bytes) -> ContactDevice | None:
        """Return the device with this signing key, if the account lists it."""
        return next((d for d in self.devices if d.certificate.device_key == key), None)

    def revocation(self, key: bytes) -> RevokedDevice | None:
        """Return how the device with this signing key was revoked, if it was."""
        return next((r for r in self.identity.revoked if r.device_key == key), None)


@dataclass(frozen=True, slots=True)
class _Cached:
    contact: Contact
    good_until: float


class Accounts:
    """Resolves names of the organisation."""

    def __init__(
        self,
        *,
        device: Device | None,
        directory: Directory,
        blocks: BlockStore,
        clock: Clock,
        config: PostConfig,
    ) -> None:
        """`device` is None on a machine without a user, which only stores."""
        self._device = device
        self._directory = directory
        self._blocks = blocks
        self._clock = clock
        self._config = config
        self._cache: OrderedDict[str, _Cached] = OrderedDict()
        self._names: dict[bytes, str] = {}
        self._running: Shared[tuple[str, int], Contact] = Shared()
        self._times_forgotten = 0

    @property
    def me(self) -> AccountCert:
        """This account, as certified; raises AuthenticityError once that has expired."""
        assert self._device is not None, "a machine without a user has no account"
        return self._directory.verify_account(
            self._device.account_certificate, self._clock.wall_ms()
        )

    async def resolve(self, name: str, *, fresh: bool = False) -> Contact:
        """Return what is known of a name, at most a minute old unless `fresh`.

        Raises NoSuchUser only if the ring answered and nobody has that name (NobodyFound if no more
        than that is known), UnavailableError if it cannot be told now; RefusedError if it is no
        name of ours at all.
        """
        name = canonical(name)
        cached = self._cache.get(name)
        if cached is not None and not fresh and self._clock.now() < cached.good_until:
            return cached.contact
        times = self._times_forgotten
        contact = await self._running.run((name, times), self._look_up(name))
        if times == self._times_forgotten:
            self._remember(contact)
        return contact

    async def signer(self, account: AccountCert, device: DeviceCert) -> Contact:
        """Return the account behind a signature if it is still the one that the name stands for.

        Whether it still lists the device is in the contact, which is no older than a minute, and
        fresh if the device is not in it. What was signed before the account's key was changed
        counts as far as the account lists the device under its present key. Raises as `resolve`,
        and UntrustedCertificate.
        """
        contact = await self.resolve(account.name)
        is_later = account.generation > contact.account.generation
        if is_later or contact.device(device.device_key) is None:
            contact = await self.resolve(account.name, fresh=True)
        certified = contact.account
        if certified.account_id != account.account_id:
            raise UntrustedCertificate("the name stands for another account now")
        if account.generation > certified.generation:
            raise UnavailableError(f"the ring does not show the present keys of {account.name} yet")
        if not contact.has_had_keys_of(account):
            raise UntrustedCertificate("the account never had this key")
        return contact

    def remembered(self, name: str) -> Contact | None:
        """Return what was looked up of a name lately, without asking anybody."""
        cached = self._cache.get(name)
        return None if cached is None else cached.contact

    async def present(self, contact: Contact) -> Contact:
        """Return who has a former name (`contact`) under the name that she has now.

        It is verified that both are of the same keys: the certificate of the former name says the
        present one, and that one has the former among its aliases. Raises as `resolve`, and
        UntrustedCertificate.
        """
        former = contact.account
        if former.present_name == former.name:
            return contact
        found = await self.resolve(former.present_name)
        account = found.account
        is_hers = found.has_had_keys_of(former) or contact.has_had_keys_of(account)
        if not is_hers or former.name not in account.aliases:
            raise UntrustedCertificate(f"{account.name} is not who had the name {former.name}")
        return found

    def is_known_revoked(self, device: DeviceCert) -> bool:
        """Does what is remembered of an account say that it revoked this device?"""
        cached = self._cache.get(self._names.get(device.account_id, ""))
        return cached is not None and cached.contact.revocation(device.device_key) is not None

    def forget(self, name: str) -> None:
        """Look this name up afresh next time: what is known of it did not work, or has changed.

        A look-up that is under way may have been too early: nobody joins it any more.
        """
        self._cache.pop(name, None)
        self._times_forgotten += 1

    def _remember(self, contact: Contact) -> None:
        good_until = self._clock.now() + self._config.contact_cache_seconds
        self._cache[contact.name] = _Cached(contact, good_until)
        self._cache.move_to_end(contact.name)
        self._names[contact.account.account_id] = contact.name
        if len(self._cache) > CONTACTS_CACHED_MAX:
            _, dropped = self._cache.popitem(last=False)
            self._names.pop(dropped.contact.account.account_id, None)

    async def _look_up(self, name: str) -> Contact:
        if not name.endswith("@" + self._directory.domain):
            raise NoSuchUser(f"{name} is not in {self._directory.domain}")
        handle = Handle(BlockKind.CERTIFICATE, certificate_digest(name))
        certificate = await self._latest(handle)
        if certificate is None:
            raise NobodyFound(f"nobody is certified as {name}")
        try:
            account = self._directory.verify_account(certificate, self._clock.wall_ms())
        except RevokedCertificate as error:
            raise NoSuchUser(self._where_gone(name, certificate)) from error
        if name != account.name:
            raise UntrustedCertificate("the certificate of another name")
        if self._directory.is_key_succeeded(account):
            raise UnavailableError(f"the ring shows former keys of {name} only")
        identity = await self._identity(account)
        keys = descent(account, identity.public_references)
        certificates = [open_device_certificate(d, account) for d in identity.devices]
        revoked = {device.device_key for device in identity.revoked}
        lookups = [self._device_of(account, c) for c in certificates if c.device_key not in revoked]
        devices = await in_parallel(lookups, at_once=LOOKUPS_AT_ONCE)
        return Contact(name, certificate, account, identity, tuple(devices), keys)

    def _where_gone(self, name: str, certificate: bytes) -> str:
        """Say what has become of a name; `certificate` was verified, and is revoked."""
        account = recall_account(certificate)
        if account.present_name != account.name:
            return f"{name} is a former name; write to {account.present_name}"
        return f"{name} has left {self._directory.domain}"

    async def _identity(self, account: AccountCert) -> Identity:
        handle = key_block_handle(account.account_key)
        data = await self._latest(handle)
        if data is None:
            # Enrolled a moment ago: the certificate is published first.
            raise UnavailableError(f"{account.name} has not published an identity yet")
        block = open_key_block(data, expected=handle)
        identity = decode_identity(block.body.content)
        if block.purpose is not Kind.IDENTITY or block.body.ring != account.ring:
            raise MalformedPacket("not an identity block")
        if (identity.account_id, identity.generation) != (account.account_id, account.generation):
            raise UntrustedCertificate("the identity of another account")
        if sealing_key_hash(identity.recovery_sealing_key) != account.recovery_sealing_hash:
            raise UntrustedCertificate("the recovery key is not the certified one")
        return identity

    async def _device_of(self, account: AccountCert, certificate: DeviceCert) -> ContactDevice:
        handle = key_block_handle(certificate.device_key)
        data = await self._latest(handle)
        if data is None:
            return ContactDevice(certificate, None)
        try:
            block = open_key_block(data, expected=handle)
            info = decode_device_info(block.body.content)
        except (PeerError, AuthenticityError):
            return ContactDevice(certificate, None)
        said = (info.account_id, info.number, sealing_key_hash(info.sealing_key))
        is_its_own = said == (account.account_id, certificate.number, certificate.sealing_hash)
        if block.purpose is not Kind.DEVBLOCK or not is_its_own:
            return ContactDevice(certificate, None)
        return ContactDevice(certificate, info)

    async def _latest(self, handle: Handle) -> bytes | None:
        """Return the newest version, None if every replica says there is none."""
        reading = await self._blocks.lookup_latest(handle)
        if reading.answered is Answered.NONE:
            raise UnavailableError("no replica answered")
        if reading.block is None and reading.answered is not Answered.ALL:
            raise UnavailableError("some replicas did not answer")
        return reading.block
