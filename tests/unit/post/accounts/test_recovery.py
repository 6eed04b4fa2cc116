"""A machine that enters an account while others do: whoever is told of success stays listed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from epost.crypto.certificates import DEVICE_CERT
from epost.crypto.names import ring_of
from epost.crypto.signed import parse
from epost.crypto.signing import Kind
from epost.crypto.versioned import KeyBlock, key_block_handle, open_key_block
from epost.foundation.ids import Address, BlockKind, Handle, NodeHandle, NodeId
from epost.past.blocks import handle_of
from epost.past.client import Answered, Conflict, Durability, Insertion, Reading
from epost.post.accounts.blocks import decode_identity
from epost.post.accounts.devices import DeviceSecrets, Signing
from epost.post.accounts.new_devices import NewAccount, create_account
from epost.post.accounts.recovery import enter_device
from epost.simulation.clock import run
from epost.simulation.sealing import SimulatedSealing
from epost.simulation.world import EPOCH_MS, SimulatedEntropy

RING = ring_of("example.org")
ALL_OF_THREE = Durability(3, 3, ring_durable=True)


class Ring:
    """What the replicas of the ring agree on."""

    def __init__(self, account: NewAccount) -> None:
        self.account = account
        self.blocks = {
            handle_of(BlockKind.CONTENT, account.keyring): account.keyring,
            key_block_handle(account.keys.account.public): account.identity.data,
            handle_of(BlockKind.KEY, account.device_block.data): account.device_block.data,
        }

    @property
    def identity(self) -> KeyBlock:
        return open_key_block(self.blocks[key_block_handle(self.account.keys.account.public)])

    def listed(self) -> dict[bytes, int]:
        """Return the number that the account gives to each device key."""
        devices = decode_identity(self.identity.body.content).devices
        certificates = [DEVICE_CERT.decode(parse(d, Kind.DEVICE).body) for d in devices]
        return {certificate.device_key: certificate.number for certificate in certificates}


class Blocks:
    """The ring as one machine sees it, which keeps the account for the ring itself.

    So a version that all others refuse stays here, and is the newest that this machine reads.
    """

    def __init__(self, ring: Ring, before: dict[int, Callable[[], Awaitable[object]]]) -> None:
        """`before` is what others do before the n-th identity block is inserted here."""
        self._ring = ring
        self._own: dict[Handle, bytes] = {}
        self._before = before
        self._identities = 0

    async def lookup(self, handle: Handle) -> bytes:
        return self._ring.blocks[handle]

    async def lookup_latest(self, handle: Handle) -> Reading:
        copies = [d for d in (self._own.get(handle), self._ring.blocks.get(handle)) if d]
        newest = max(copies, key=lambda data: open_key_block(data).order, default=None)
        return Reading(newest, Answered.ALL, True)

    async def lookup_copies(self, handle: Handle) -> Sequence[bytes]:
        return [d for d in (self._own.get(handle), self._ring.blocks.get(handle)) if d]

    async def insert(self, kind: BlockKind, block: bytes, *, mirror: bool = True) -> Insertion:
        handle = handle_of(kind, block)
        if kind is BlockKind.KEY and open_key_block(block).purpose is Kind.IDENTITY:
            self._identities += 1
            if act := self._before.get(self._identities):
                await act()
            self._own[handle] = block
            self._require_successor(handle, open_key_block(block))
        self._ring.blocks[handle] = block
        return Insertion(handle, ALL_OF_THREE)

    def _require_successor(self, handle: Handle, offered: KeyBlock) -> None:
        stored = self._ring.identity
        is_next = offered.body.version == stored.body.version + 1
        continues = offered.body.previous == stored.body_hash or not is_next
        if offered.body.version <= stored.body.version or not continues:
            raise Conflict(handle, stored.data)


async def enter(blocks: Blocks, account: NewAccount, number: int) -> DeviceSecrets:
    sealing = SimulatedSealing(SimulatedEntropy(number, "sealing"))
    by = Signing(account.keys, EPOCH_MS, sealing, SimulatedEntropy(number, "device"))
    contact = NodeHandle(RING, NodeId(bytes([number]) * 20), (Address("127.0.0.1", number),))
    device = await enter_device(by, blocks, contact, revoke=False)
    return device.secrets


def test_who_is_refused_builds_on_what_others_were_told_of_and_not_on_its_own_copy() -> None:
    async def story() -> None:
        account = create_account(
            bytes(32),
            contact=NodeHandle(RING, NodeId(bytes(20)), (Address("127.0.0.1", 99),)),
            now_ms=EPOCH_MS,
            sealing=SimulatedSealing(SimulatedEntropy(0, "sealing")),
            entropy=SimulatedEntropy(0, "device"),
        )
        ring = Ring(account)
        entered: list[DeviceSecrets] = []

        async def another(number: int) -> None:
            entered.append(await enter(Blocks(ring, {}), account, number))

        # Refused twice: the second time with a version above the one that was in its way.
        before = {1: lambda: another(1), 2: lambda: another(2)}
        entered.append(await enter(Blocks(ring, before), account, 3))
        certificates = [DEVICE_CERT.decode(parse(s.certificate, Kind.DEVICE).body) for s in entered]
        assert [certificate.number for certificate in certificates] == [2, 3, 4]
        for certificate in certificates:
            assert ring.listed()[certificate.device_key] == certificate.number

    run(story())
