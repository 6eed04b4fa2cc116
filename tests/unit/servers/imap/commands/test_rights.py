"""ACL as dialogues."""

import asyncio

from tests.support.imap_dialogue import ImapHouse, play


def test_a_session_that_may_only_read_has_the_rights_to_read() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = house.stranger()
        await client.log_in(house.access.reading_token)
        assert await client.command("MYRIGHTS INBOX") == [
            "* MYRIGHTS INBOX lr",
            "t OK That is all",
        ]
        assert (await client.command("SETACL INBOX bob lr"))[-1].startswith("t NO [NOPERM]")
        await client.hang_up()

    asyncio.run(scene())


def test_opening_a_folder_for_reading_takes_no_rights_away() -> None:
    async def scene() -> None:
        client = await ImapHouse().member()
        assert (await client.command("EXAMINE INBOX"))[-1].startswith("t OK [READ-ONLY]")
        assert (await client.command("MYRIGHTS INBOX"))[0] == "* MYRIGHTS INBOX lrswipkxtea"
        await client.hang_up()

    asyncio.run(scene())


def test_the_owner_has_all_rights_and_nobody_else_any() -> None:
    play(
        """
        C: a MYRIGHTS INBOX
        S: * MYRIGHTS INBOX lrswipkxtea
        S: a OK That is all
        C: b GETACL INBOX
        S: * ACL INBOX alice@example.org lrswipkxtea
        S: b OK That is all
        C: c LISTRIGHTS INBOX bob
        S: * LISTRIGHTS INBOX bob ""
        S: c OK That is all
        C: d LISTRIGHTS INBOX alice@example.org
        S: * LISTRIGHTS INBOX alice@example.org lrswipkxtea
        S: d OK That is all
        C: e SETACL INBOX bob lr
        S: e NO [NOPERM] ...
        C: f DELETEACL INBOX bob
        S: f NO [NOPERM] ...
        C: g MYRIGHTS Nowhere
        S: g NO [NONEXISTENT] ...
        """,
        start="logged in",
    )
