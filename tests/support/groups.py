"""Rings whose hosts take part in groups."""

from __future__ import annotations

from collections.abc import Iterable

from epost.foundation.codec import encode
from epost.foundation.effects import Send
from epost.foundation.ids import Id, NodeHandle
from epost.foundation.wire import Application, unpack
from epost.scribe.config import ScribeConfig
from epost.scribe.machine import Scribe
from epost.scribe.messages import PACKET, Packet
from epost.scribe.surroundings import Distance, unknown_distance
from tests.support.ring import Host, Ring, SeededEntropy


class Newsreader:
    """Keeps what came."""

    def __init__(self) -> None:
        self.news: list[tuple[Id, bytes]] = []

    def on_multicast(self, group: Id, body: bytes, now: float) -> None:
        self.news.append((group, body))


class Groups:
    """A ring with the groups of each of its hosts."""

    def __init__(
        self,
        size: int,
        *,
        config: ScribeConfig | None = None,
        distance: Distance = unknown_distance,
        **settings: object,
    ):
        self.scribes: dict[bytes, Scribe] = {}
        self.readers: dict[bytes, Newsreader] = {}
        self._config = config or ScribeConfig()
        self._distance = distance
        self.ring = Ring(equip=self._equip, **settings)  # type: ignore[arg-type]
        self.hosts = self.ring.grow(size)
        self.ring.run_until(self.ring.is_converged, 60.0)
        self.ring.run(5.0)

    def _equip(self, ring: Ring, host: Host) -> None:
        scribe = Scribe(
            host.node,
            self._config,
            host.outbox,
            SeededEntropy(ring.random.getrandbits(32)),
            ring.observed,
            distance=self._distance,
        )
        self.scribes[host.id] = scribe
        self.readers[host.id] = Newsreader()
        scribe.register(self.readers[host.id])
        host.machines[Application.SCRIBE] = scribe

    def scribe(self, host: Host) -> Scribe:
        return self.scribes[host.id]

    def join(self, group: Id, hosts: Iterable[Host]) -> None:
        for host in hosts:
            self.scribe(host).join(group)
            self.ring.perform(host)

    def leave(self, group: Id, host: Host) -> None:
        self.scribe(host).leave(group)
        self.ring.perform(host)

    def multicast(self, group: Id, body: bytes, by: Host) -> None:
        self.scribe(by).multicast(group, body)
        self.ring.perform(by)
        self.ring.run(10.0)  # on its way it may try a dead node or two

    def readers_of(self, body: bytes) -> list[Host]:
        """Return the live hosts that got news, as often as they got it."""
        return [
            host for host in self.ring.live for _, one in self.readers[host.id].news if one == body
        ]

    def members(self, group: Id) -> list[Host]:
        return [host for host in self.ring.live if group in self.scribe(host).groups]

    def everybody_is_reached(self, group: Id) -> None:
        """A multicast by anybody reaches every live member once, and nobody else."""
        body = self.ring.random.randbytes(8)
        self.multicast(group, body, self.ring.random.choice(self.ring.live))
        assert self.readers_of(body) == self.members(group)

    def hear(self, host: Host, sender: NodeHandle, packet: Packet) -> list[tuple[bytes, Packet]]:
        """Give a host a packet; return what it sends to whom in the same turn."""
        scribe = self.scribe(host)
        scribe.on_notify(sender, encode(packet), self.ring.now)
        effects = host.outbox.drain()
        return [
            (effect.to.node_id, PACKET.decode(unpack(effect.message).body))
            for effect in effects
            if isinstance(effect, Send)
        ]
