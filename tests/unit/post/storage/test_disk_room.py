"""A disk that is nearly full: no new mail, but everything that belongs to the old."""

import pytest

from epost.foundation.errors import DiskFull
from epost.post.app_ids import AppId
from epost.post.logs.device_log import MAIL_BYTES_MIN
from epost.post.logs.entries import Entry
from epost.simulation.clock import run
from tests.support.post_world import World


def test_entries_that_carry_mail_are_refused_and_flags_are_not() -> None:
    async def story() -> None:
        alice = World().enrol("alice")
        post = await alice.start()
        alice.disk.room_bytes = 0
        before = post.log.sequence
        with pytest.raises(DiskFull):
            await post.log.append([Entry(AppId.MAIL, bytes(MAIL_BYTES_MIN))])
        assert post.log.sequence == before
        flags = [Entry(AppId.MAIL, bytes(MAIL_BYTES_MIN - 1))] * 5
        assert (await post.log.append(flags)).durability.ring_durable
        alice.disk.room_bytes = 1 << 20
        await post.log.append([Entry(AppId.MAIL, bytes(MAIL_BYTES_MIN))])
        await alice.stop()

    run(story())
