import msgspec
import pytest

from epost.foundation.codec import encode
from epost.foundation.errors import LimitExceeded, MalformedPacket
from epost.foundation.wire import Application
from epost.pastry.config import BODY_SIZE_MAX, HANDLES_MAX
from epost.pastry.messages import (
    PACKET,
    PACKET_SIZE_MAX,
    FailureNotice,
    Heartbeat,
    Hints,
    HopAck,
    JoinReply,
    LeafSetProbe,
    LeafSetReply,
    Leaving,
    Packet,
    Ping,
    Pong,
    RootSet,
    RootSetQuery,
    RowRequest,
    Standing,
    Transit,
    Witnessed,
)
from tests.support.conversation import peer, spot

LEAVES = (peer(0.1), peer(0.2))


def transit(body: bytes = b"body") -> Transit:
    return Transit(7, b"m" * 16, peer(0.1), spot(0.2), Application.PAST, 1, body)


@pytest.mark.parametrize(
    "packet",
    [
        Heartbeat(Standing.READY),
        Ping(1, Standing.FRESH),
        Pong(1, Standing.RESUMING),
        LeafSetProbe(1, Standing.READY, LEAVES),
        LeafSetReply(1, Standing.READY, LEAVES),
        FailureNotice((spot(0.1),)),
        Leaving(),
        RowRequest(3, False),
        Hints(LEAVES),
        JoinReply(LEAVES),
        transit(),
        HopAck(7),
        RootSet(b"n" * 16, (Witnessed(peer(0.1), b"certificate"),)),
        RootSetQuery(b"n" * 16),
    ],
)
def test_packets_come_back_as_they_were_sent(packet: Packet) -> None:
    assert PACKET.decode(encode(packet)) == packet


def test_the_wire_format_stays_the_same() -> None:
    assert encode(Heartbeat(Standing.READY)).hex() == "920102"
    assert encode(Ping(5, Standing.FRESH)).hex() == "93020500"
    assert encode(HopAck(7)).hex() == "920c07"
    assert encode(Leaving()).hex() == "9107"


def test_bodies_and_lists_are_bounded() -> None:
    assert PACKET.decode(encode(transit(bytes(BODY_SIZE_MAX))))
    with pytest.raises(MalformedPacket):
        PACKET.decode(encode(transit(bytes(BODY_SIZE_MAX + 1))))
    nodes = tuple(peer(number / 1000) for number in range(HANDLES_MAX + 1))
    assert PACKET.decode(encode(Hints(nodes[:-1])))
    with pytest.raises(MalformedPacket):
        PACKET.decode(encode(Hints(nodes)))
    with pytest.raises(LimitExceeded):
        PACKET.decode(bytes(PACKET_SIZE_MAX + 1))


def test_unknown_packets_and_standings_are_malformed() -> None:
    for value in ([99, 1], [1, 9], [1], [1, 2, 3], "text", [11, -1]):
        with pytest.raises(MalformedPacket):
            PACKET.decode(msgspec.msgpack.encode(value))
