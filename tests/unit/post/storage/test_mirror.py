"""The mirror: what the account refers to is copied here, after crashes and absences as well."""

from __future__ import annotations

import hashlib

import pytest

from epost.post.sealed_notes import SealedNotes
from epost.post.storage.references import Reference, Secrecy
from epost.simulation.clock import run
from tests.support.post_world import World, settle


def test_wanted_messages_are_fetched_whole_even_after_a_restart() -> None:
    async def story() -> None:
        world = World()
        alice, bob = world.enrol("alice"), world.enrol("bob")
        theirs = await bob.start()
        short = (await theirs.services.messages.store(b"short")).reference
        long = (
            await theirs.services.messages.store(hashlib.shake_256(b"x").digest(5 << 20))
        ).reference
        post = await alice.start()
        alice.is_online = False
        await post.services.mirror.want([])
        await post.services.mirror.want([short, long])
        await settle(60)
        assert short.handle not in alice.disk.vault
        await alice.stop()
        alice.is_online = True
        post = await alice.start()
        await settle(5)
        messages = post.services.messages
        wanted = [*await messages.handles_of(short), *await messages.handles_of(long)]
        assert set(wanted) <= set(alice.disk.vault)
        assert alice.disk.notes("post.mirror") == []
        await post.services.mirror.want([short])
        await settle(5)
        assert alice.disk.notes("post.mirror") == []
        await world.stop()

    run(story())


def test_what_does_not_exist_is_tried_again_and_what_is_wrong_is_not() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        post = await alice.start()
        nowhere = Reference(b"d" * 32, b"k" * 32, Secrecy.UNIQUE, 0, 3)
        good = (await post.services.messages.store(b"abc")).reference
        wrong = Reference(good.digest, b"x" * 32, Secrecy.UNIQUE, 2, 3)
        await post.services.mirror.want([nowhere, wrong])
        await settle(5)
        ((_, left),) = SealedNotes(
            "post.mirror", secret=alice.device.notes_secret, ports=alice.ports
        ).all()
        assert nowhere.digest in left
        await settle(1300)
        assert len(alice.disk.notes("post.mirror")) == 1
        await alice.stop()

    run(story())


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_private_notes_read_back_and_only_with_the_secret(size: int) -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        await alice.start()
        notes = SealedNotes("table", secret=b"s" * 32, ports=alice.ports)
        name = notes.name(b"what")
        await alice.disk.durable([notes.put(name, b"v" * size)])
        assert notes.get(name) == b"v" * size
        assert notes.get(notes.name(b"else")) is None
        assert list(notes.all()) == [(name, b"v" * size)]
        other = SealedNotes("table", secret=b"x" * 32, ports=alice.ports)
        assert other.name(b"what") != name
        with pytest.raises(Exception, match="key"):
            other.get(name)
        await alice.disk.durable([notes.delete(name)])
        assert notes.get(name) is None
        await alice.stop()

    run(story())
