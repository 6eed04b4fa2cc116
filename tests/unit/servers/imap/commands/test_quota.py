"""QUOTA as dialogues."""

import asyncio
from dataclasses import replace

from tests.support.imap_dialogue import ImapHouse, mail_about, play, put


def test_without_a_limit_there_is_nothing_to_tell() -> None:
    play(
        """
        C: a GETQUOTAROOT INBOX
        S: * QUOTAROOT INBOX ""
        S: * QUOTA "" ()
        S: a OK That is all
        C: b GETQUOTA elsewhere
        S: b NO [NONEXISTENT] There is no such quota root
        C: c GETQUOTAROOT Nowhere
        S: c NO [NONEXISTENT] There is no such folder
        """,
        start="logged in",
    )


def test_the_mail_of_all_folders_counts() -> None:
    async def scene() -> None:
        house = ImapHouse()
        house.site = replace(house.site, storage_limit=lambda: 10 * 2**20)
        await house.mail.create("Other")
        for folder in ("INBOX", "Other"):
            await put(house.mail, mail_about("x", "y" * 3000), "\\Deleted", folder=folder)
        client = await house.member()
        assert (await client.command('GETQUOTA ""'))[0] == '* QUOTA "" (STORAGE 7 10240)'
        status = (await client.command("STATUS Other (DELETED DELETED-STORAGE)"))[0]
        assert status == "* STATUS Other (DELETED 1 DELETED-STORAGE 3098)"
        await client.hang_up()

    asyncio.run(scene())
