"""Groups under churn and loss: once the ring is left alone, every member hears everything once."""

from __future__ import annotations

from random import Random

import pytest

from epost.crypto.signing import SigningKey
from epost.foundation.ids import Id
from epost.scribe.charter import (
    Charter,
    chartered_group,
    sign_charter,
    sign_permit,
    sign_publication,
)
from epost.scribe.config import ScribeConfig
from tests.support.groups import Groups
from tests.support.ring import Host

FOUNDER = SigningKey(b"f" * 32)
CLOSED = chartered_group(FOUNDER.public, b"board")
OPEN = Id(b"o" * 20)
CHARTER = Charter(1, FOUNDER.public, b"board", 1, 0, (FOUNDER.public,), (FOUNDER.public,))
SIZE, CHILDREN_LIMIT = 30, 6


class Storm:
    """A ring with an open and a closed group in which nodes die, return, join and leave."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        config = ScribeConfig(children_limit=CHILDREN_LIMIT)
        self.groups = Groups(SIZE, config=config, seed=seed)
        self.number = 0
        for host in self.groups.ring.live[::2]:
            self.join(host)
        self.create()
        self.groups.ring.run(20.0)

    def create(self) -> None:
        host = self.random.choice(self.groups.ring.live)
        self.groups.scribe(host).create(CLOSED, sign_charter(FOUNDER, CHARTER))
        self.groups.ring.perform(host)

    def join(self, host: Host) -> None:
        permit = sign_permit(FOUNDER, CLOSED, host.id, 0)
        self.groups.scribe(host).join(CLOSED, permit=permit)
        self.groups.scribe(host).join(OPEN)
        self.groups.ring.perform(host)

    def strike(self) -> None:
        """Let one thing happen."""
        ring = self.groups.ring
        dead = [host for host in self.groups.hosts if not host.is_up]
        match self.random.choice(("die", "return", "join", "leave", "publish")):
            case "die" if len(ring.live) > SIZE * 2 // 3:
                ring.crash(self.random.choice(ring.live))
            case "return" if dead:
                host = self.random.choice(dead)
                ring.start(host, [self.random.choice(ring.live)])
                self.join(host)
            case "join":
                self.join(self.random.choice(ring.live))
            case "leave":
                host = self.random.choice(ring.live)
                for group in (OPEN, CLOSED):
                    self.groups.leave(group, host)
            case _:
                self.publish(b"in the storm")

    def publish(self, body: bytes) -> None:
        self.number += 1
        host = self.random.choice(self.groups.ring.live)
        scribe = self.groups.scribe(host)
        scribe.multicast(OPEN, body)
        scribe.multicast(CLOSED, sign_publication(FOUNDER, CLOSED, self.number, body))
        self.groups.ring.perform(host)

    def heard(self, group: Id, body: bytes) -> list[Host]:
        readers = self.groups.readers
        return [
            h for h in self.groups.ring.live for at in readers[h.id].news if at == (group, body)
        ]


@pytest.mark.parametrize("seed", range(3))
def test_after_a_storm_everybody_hears_everything_once(seed: int) -> None:
    storm = Storm(seed)
    ring = storm.groups.ring
    ring.loss = 0.05
    for _ in range(30):
        storm.strike()
        ring.run(storm.random.uniform(0.5, 6.0))
    ring.loss = 0.0
    ring.run(200.0)
    for turn in range(3):
        body = b"calm %d" % turn
        storm.publish(body)
        ring.run(15.0)
        for group in (OPEN, CLOSED):
            assert storm.heard(group, body) == storm.groups.members(group)
    spam = b"spam"
    storm.groups.multicast(CLOSED, spam, ring.live[0])
    assert storm.heard(CLOSED, spam) == []
    for host in ring.live:
        assert sum(storm.groups.scribe(host).children_by_group.values()) <= CHILDREN_LIMIT
