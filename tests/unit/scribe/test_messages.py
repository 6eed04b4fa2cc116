import pytest

from epost.foundation.codec import encode
from epost.foundation.errors import MalformedPacket
from epost.scribe.config import BODY_SIZE_MAX, PATH_MAX, REFRESH_GROUPS_MAX
from epost.scribe.messages import (
    PACKET,
    Adopted,
    Branch,
    Disowned,
    JoinGroup,
    LeaveGroups,
    Multicast,
    Packet,
    Publish,
    Refresh,
)

GROUP = b"g" * 20


@pytest.mark.parametrize(
    "packet",
    [
        JoinGroup(b""),
        Publish(b"m" * 16, b"body"),
        Adopted((Branch(GROUP, (b"n" * 20,), 0),)),
        Refresh((GROUP,)),
        Disowned((GROUP,)),
        LeaveGroups((GROUP,)),
        Multicast(GROUP, b"m" * 16, b"body"),
    ],
)
def test_packets_come_back_as_they_were_sent(packet: Packet) -> None:
    assert PACKET.decode(encode(packet)) == packet


@pytest.mark.parametrize(
    ("largest", "too_large"),
    [
        (
            Multicast(GROUP, b"m" * 16, bytes(BODY_SIZE_MAX)),
            Multicast(GROUP, b"m" * 16, bytes(BODY_SIZE_MAX + 1)),
        ),
        (Refresh((GROUP,) * REFRESH_GROUPS_MAX), Refresh((GROUP,) * (REFRESH_GROUPS_MAX + 1))),
        (
            Adopted((Branch(GROUP, (GROUP,) * PATH_MAX, 0),) * REFRESH_GROUPS_MAX),
            Adopted((Branch(GROUP, (GROUP,) * (PATH_MAX + 1), 0),)),
        ),
    ],
)
def test_everything_is_bounded(largest: Packet, too_large: Packet) -> None:
    assert PACKET.decode(encode(largest)) == largest
    with pytest.raises(MalformedPacket):
        PACKET.decode(encode(too_large))


def test_the_wire_format_stays_the_same() -> None:
    assert encode(JoinGroup(b"")).hex() == "9201c400"
    assert encode(Refresh((GROUP,))).hex() == "920491c414" + "67" * 20
