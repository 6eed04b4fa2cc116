"""A ring in which some nodes drop what they should route and show only one another."""

from __future__ import annotations

from collections.abc import Iterable

from epost.foundation.codec import encode
from epost.foundation.effects import Outbox, Send
from epost.foundation.ids import NodeHandle, NodeId, closeness
from epost.foundation.wire import Application, Form, unpack
from epost.pastry.messages import (
    FIND_ROOT_SET,
    PACKET,
    HopAck,
    RootSet,
    RootSetQuery,
    Transit,
    Witnessed,
)
from tests.support.ring import Certificates, Host, Ring

SHOWN = 17


class RingOfLiars(Ring):
    """Liars keep up appearances with their neighbours and cheat in routing, all together."""

    liars: frozenset[NodeId] = frozenset()

    def corrupt(self, hosts: Iterable[Host]) -> None:
        """These hosts lie from now on."""
        self.liars = frozenset(host.id for host in hosts)

    def _give(self, host: Host, sender: NodeHandle, data: bytes) -> None:
        message = unpack(data)
        assert message.form is Form.NOTIFY
        if host.id not in self.liars or message.application is not Application.PASTRY:
            super()._give(host, sender, data)
            return
        match PACKET.decode(message.body):
            case Transit() as transit:
                self._say(host, sender, HopAck(transit.hop))
                if transit.application is Application.PASTRY and transit.body:
                    nonce = FIND_ROOT_SET.decode(transit.body).nonce
                    self._say(host, transit.origin, self._forged(nonce, transit.key))
            case RootSetQuery(nonce):
                self._say(host, sender, self._forged(nonce, host.id))
            case _:
                super()._give(host, sender, data)

    def _forged(self, nonce: bytes, key: bytes) -> RootSet:
        closest = sorted(self.liars, key=lambda liar: closeness(key, liar))[:SHOWN]
        certificates = Certificates()
        shown = [
            Witnessed(self.hosts[liar].handle, certificates.certificate_of(liar) or b"")
            for liar in closest
        ]
        return RootSet(nonce, tuple(shown))

    def _say(self, host: Host, to: NodeHandle, packet: HopAck | RootSet) -> None:
        outbox = Outbox()
        outbox.notify(to, Application.PASTRY, encode(packet))
        for effect in outbox.drain():
            assert isinstance(effect, Send)
            self._send(host, effect.to, effect.message)
