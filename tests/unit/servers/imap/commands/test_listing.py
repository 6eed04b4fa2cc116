"""LIST and LSUB as dialogues."""

import asyncio

from epost.apps.mail.mailbox import SpecialUse
from tests.support.imap_dialogue import play
from tests.support.memory_mailstore import MemoryMail


def house() -> MemoryMail:
    """INBOX, Sent (special), Lists/post, Lists/post/old; Lists does not exist itself."""

    async def build() -> MemoryMail:
        mail = MemoryMail()
        await mail.create("Sent", SpecialUse.SENT)
        await mail.create("Lists/post")
        await mail.create("Lists/post/old")
        for name in ("INBOX", "Lists/post/old", "Gone/away"):
            await mail.set_subscribed(name, True)
        return mail

    return asyncio.run(build())


def test_list_shows_parents_that_do_not_exist() -> None:
    play(
        r"""
        C: a LIST "" *
        S: * LIST (\HasNoChildren) "/" INBOX
        S: * LIST (\NonExistent \Noselect \HasChildren) "/" Lists
        S: * LIST (\HasChildren) "/" Lists/post
        S: * LIST (\HasNoChildren) "/" Lists/post/old
        S: * LIST (\HasNoChildren \Sent) "/" Sent
        S: a OK That is all
        C: b LIST "" %
        S: * LIST (\HasNoChildren) "/" INBOX
        S: * LIST (\NonExistent \Noselect \HasChildren) "/" Lists
        S: * LIST (\HasNoChildren \Sent) "/" Sent
        S: b OK That is all
        C: c LIST Lists/ %
        S: * LIST (\HasChildren) "/" Lists/post
        S: c OK That is all
        C: d LIST "" ""
        S: * LIST (\Noselect) "/" ""
        S: d OK That is all
        """.replace("d OK That is all", "d OK That is the separator"),
        mail=house(),
        start="logged in",
    )


def test_an_extended_list_selects_and_tells_what_was_asked_for() -> None:
    play(
        r"""
        C: a LIST (SUBSCRIBED) "" *
        S: * LIST (\HasNoChildren \Subscribed) "/" INBOX
        S: * LIST (\NonExistent \HasNoChildren \Subscribed) "/" Gone/away
        S: * LIST (\HasNoChildren \Subscribed) "/" Lists/post/old
        S: a OK That is all
        C: b LIST (SPECIAL-USE) "" "*" RETURN (SUBSCRIBED CHILDREN)
        S: * LIST (\HasNoChildren \Sent) "/" Sent
        S: b OK That is all
        C: c LIST () "" (INBOX Sent "Lists/%") RETURN (STATUS (MESSAGES HIGHESTMODSEQ) SUBSCRIBED)
        S: * LIST (\HasNoChildren \Subscribed) "/" INBOX
        S: * STATUS INBOX (MESSAGES 0 HIGHESTMODSEQ 1)
        S: * LIST (\HasChildren) "/" Lists/post
        S: * STATUS Lists/post (MESSAGES 0 HIGHESTMODSEQ 1)
        S: * LIST (\HasNoChildren \Sent) "/" Sent
        S: * STATUS Sent (MESSAGES 0 HIGHESTMODSEQ 1)
        S: c OK That is all
        C: d LIST (SUBSCRIBED RECURSIVEMATCH) "" % RETURN ()
        S: * LIST (\HasNoChildren \Subscribed) "/" INBOX
        S: * LIST (\NonExistent \HasNoChildren) "/" Gone ("CHILDINFO" ("SUBSCRIBED"))
        S: * LIST (\NonExistent \HasChildren) "/" Lists ("CHILDINFO" ("SUBSCRIBED"))
        S: d OK That is all
        C: e LIST "" ("") RETURN (CHILDREN)
        S: e OK That is all
        """,
        mail=house(),
        start="logged in",
    )


def test_lsub_tells_subscribed_names_and_the_parents_of_hidden_ones() -> None:
    play(
        r"""
        C: a LSUB "" "*"
        S: * LSUB () "/" INBOX
        S: * LSUB () "/" Gone/away
        S: * LSUB () "/" Lists/post/old
        S: a OK That is all
        C: b LSUB "" %
        S: * LSUB () "/" INBOX
        S: * LSUB (\Noselect) "/" Gone
        S: * LSUB (\Noselect) "/" Lists
        S: b OK That is all
        C: c UNSUBSCRIBE Gone/away
        S: c OK Unsubscribed
        C: d SUBSCRIBE "Caf&AOk-"
        S: d OK Subscribed
        C: e LSUB "" *f*
        S: * LSUB () "/" Caf&AOk-
        S: e OK That is all
        """,
        mail=house(),
        start="logged in",
    )


def test_a_parent_is_listed_for_the_special_uses_below_it() -> None:
    play(
        r"""
        C: a CREATE Old/Bin (USE (\Trash))
        S: a OK [MAILBOXID (...
        C: b LIST (SPECIAL-USE RECURSIVEMATCH) "" %
        S: * LIST (\NonExistent \HasChildren) "/" Old ("CHILDINFO" ("SPECIAL-USE"))
        S: b OK That is all
        C: c LIST (SPECIAL-USE SUBSCRIBED RECURSIVEMATCH) "" %
        S: c OK That is all
        C: d SUBSCRIBE Old/Bin
        S: d OK Subscribed
        C: e LIST (SPECIAL-USE SUBSCRIBED RECURSIVEMATCH) "" %
        S: * LIST (\NonExistent \HasChildren) "/" Old ("CHILDINFO" ("SUBSCRIBED" "SPECIAL-USE"))
        S: e OK That is all
        """,
        start="logged in",
    )


def test_wrong_lists_are_refused() -> None:
    play(
        """
        C: a LIST (FOO) "" *
        S: a BAD Unknown LIST selection option
        C: b LIST (RECURSIVEMATCH) "" *
        S: b BAD RECURSIVEMATCH needs SUBSCRIBED or SPECIAL-USE
        C: c LIST "" * RETURN (FOO)
        S: c BAD Unknown LIST return option
        C: d LIST "" * FOO (CHILDREN)
        S: d BAD RETURN expected
        C: e LIST "" ("""
        + " ".join("a" * 65)
        + """)
        S: e BAD Too many patterns
        C: f LIST """
        + "a" * 200
        + " "
        + "b" * 200
        + """
        S: f BAD Folder pattern is too long
        """,
        start="logged in",
    )
