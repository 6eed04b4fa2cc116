"""ESEARCH over several folders as dialogues, WITHIN, and INPROGRESS."""

import asyncio
from dataclasses import replace

from tests.support.imap_dialogue import MAIL, HouseClock, ImapHouse, mail_about, play, put
from tests.support.memory_mailstore import MemoryMail


def house() -> MemoryMail:
    async def build() -> MemoryMail:
        mail = MemoryMail()
        for name in ("Lists", "Lists/post", "Lists/post/old"):
            await mail.create(name)
            await put(mail, mail_about("lunch"), folder=name)
        await mail.set_subscribed("Lists/post", True)
        await put(mail, MAIL)
        return mail

    return asyncio.run(build())


def test_one_search_goes_through_many_folders() -> None:
    play(
        """
        C: a ESEARCH IN (personal) SUBJECT lunch
        S: * ESEARCH (TAG "a" MAILBOX INBOX UIDVALIDITY 1001) UID ALL 1
        S: * ESEARCH (TAG "a" MAILBOX Lists UIDVALIDITY 1002) UID ALL 1
        S: * ESEARCH (TAG "a" MAILBOX Lists/post UIDVALIDITY 1003) UID ALL 1
        S: * ESEARCH (TAG "a" MAILBOX Lists/post/old UIDVALIDITY 1004) UID ALL 1
        S: a OK That is all
        C: b ESEARCH IN (subtree-one Lists inboxes) RETURN (COUNT) NOT BODY noon
        S: * ESEARCH (TAG "b" MAILBOX Lists UIDVALIDITY 1002) UID COUNT 1
        S: * ESEARCH (TAG "b" MAILBOX Lists/post UIDVALIDITY 1003) UID COUNT 1
        S: b OK That is all
        C: c ESEARCH IN (subscribed mailboxes (INBOX Gone) subtree Lists/post) RETURN (MIN) ALL
        S: * ESEARCH (TAG "c" MAILBOX Lists/post UIDVALIDITY 1003) UID MIN 1
        S: * ESEARCH (TAG "c" MAILBOX INBOX UIDVALIDITY 1001) UID MIN 1
        S: * ESEARCH (TAG "c" MAILBOX Lists/post/old UIDVALIDITY 1004) UID MIN 1
        S: c OK That is all
        C: d ESEARCH ALL
        S: d BAD Please select a folder first
        C: e ESEARCH IN (everywhere) ALL
        S: e BAD Unknown kind of folders
        """,
        mail=house(),
        start="logged in",
    )


def test_messages_are_found_by_their_age() -> None:
    async def scene() -> None:
        house = ImapHouse()
        await put(house.mail, MAIL)
        client = await house.member()
        await client.command("SELECT INBOX")
        house.clock.seconds = 3600
        assert (await client.command("SEARCH OLDER 3600"))[0] == "* SEARCH 1"
        assert (await client.command("SEARCH OLDER 3601"))[0] == "* SEARCH"
        assert (await client.command("SEARCH YOUNGER 3600"))[0] == "* SEARCH 1"
        assert (await client.command("SEARCH YOUNGER 3599"))[0] == "* SEARCH"
        assert (await client.command("SEARCH YOUNGER 0"))[0].startswith("t BAD")
        await client.hang_up()

    asyncio.run(scene())


class HurryingClock(HouseClock):
    """Every look at it takes 20 seconds."""

    def now(self) -> float:
        self.seconds += 20
        return self.seconds


def test_a_long_search_tells_how_far_it_is() -> None:
    async def scene() -> None:
        house = ImapHouse()
        house.site = replace(house.site, clock=HurryingClock())
        for _ in range(501):
            await put(house.mail, MAIL)
        client = await house.member()
        await client.command("SELECT INBOX")
        lines = await client.command("SEARCH LARGER 1000000")
        told, found, _ = lines
        assert told == '* OK [INPROGRESS ("t" 500 501)] Still at it'
        assert found == "* SEARCH"
        await client.hang_up()

    asyncio.run(scene())
