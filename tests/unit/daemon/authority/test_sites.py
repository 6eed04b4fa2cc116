"""The authority spreads the machines of each site over the ring."""

from __future__ import annotations

from pathlib import Path

import pytest

from epost.crypto.certificates import NODE_CERT
from epost.crypto.signed import parse
from epost.crypto.signing import Kind, SigningKey
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.world import World
from epost.daemon.world import SystemEntropy
from epost.foundation.errors import MalformedPacket
from epost.foundation.ids import Address, NodeId
from epost.rings.enrolment import ANSWER, StorageRequest, sign_storage_request
from epost.rings.invite import parse_invite
from epost.simulation.sealing import SimulatedSealing
from tests.support.organisation import START_MS, seed_of
from tests.unit.daemon.authority.test_renewing import Calendar

SITES = (b"north", b"south", b"east", b"west", b"roof", b"cellar", b"annex", b"gate")
COPIES = 3


class Enroller:
    """Enrols machines that only store, each at a site."""

    def __init__(self, path: Path) -> None:
        self.calendar = Calendar()
        entropy = SystemEntropy()
        world = World(self.calendar, entropy, SimulatedSealing(entropy))
        address = Address("127.0.0.1", 4511)
        self.authority = Authority.create(path / "authority", "example.org", address, world)
        self.sites: dict[NodeId, bytes] = {}

    def enrol(self, site: bytes) -> NodeId:
        invite = parse_invite(self.authority.invite(None), START_MS)
        key = SigningKey(seed_of(f"store {len(self.sites)}"))
        request = StorageRequest(1, invite.token, key.public, START_MS)
        answer = self.authority.enrol(sign_storage_request(request, node=key, site=site))
        certificate = NODE_CERT.decode(parse(ANSWER.decode(answer).node, Kind.NODE).body)
        assert certificate.site == site
        self.sites[certificate.id] = site
        return certificate.id

    def around(self, node: NodeId) -> list[bytes]:
        """Return the sites of the k neighbours on either side."""
        ring = sorted(self.sites)
        at = ring.index(node)
        steps = (*range(-COPIES, 0), *range(1, COPIES + 1))
        return [self.sites[ring[(at + step) % len(ring)]] for step in steps]


def test_neighbours_stand_at_other_sites_so_no_site_holds_all_copies(tmp_path: Path) -> None:
    place = Enroller(tmp_path)
    for count in range(48):
        site = SITES[count % len(SITES)]
        node = place.enrol(site)
        if count >= len(SITES):
            assert site not in place.around(node)
    ring = [place.sites[node] for node in sorted(place.sites)]
    neighbours = [{*(ring + ring)[at : at + COPIES]} for at in range(len(ring))]
    assert min(map(len, neighbours)) == COPIES
    place.authority.close()


def test_machines_that_name_no_site_are_drawn_as_before(tmp_path: Path) -> None:
    place = Enroller(tmp_path)
    assert len({place.enrol(b"") for _ in range(6)}) == 6
    place.authority.close()


def test_a_site_that_is_not_canonical_is_refused(tmp_path: Path) -> None:
    place = Enroller(tmp_path)
    with pytest.raises(MalformedPacket):
        place.enrol(b"North Wing")
    place.authority.close()
