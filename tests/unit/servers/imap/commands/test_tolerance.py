"""Requests that look wrong and are not: found by running a conformance suite against the server."""

from tests.support.imap_dialogue import MAIL, play
from tests.unit.servers.imap.commands.test_listing import house


def test_a_name_in_no_spelling_of_ours_is_a_folder_that_is_not_there() -> None:
    play(
        r"""
        C: a SELECT !#$&'+,-.0123456789:;<=>?@^_`|[}
        S: a NO [CANNOT] Folder name is not modified UTF-7
        C: b LIST "" !#$&'+,-.0123456789:;<=>?@^_`|[}%*
        S: b OK That is all
        C: c LSUB "" a&b
        S: c OK That is all
        """,
        start="logged in",
    )


def test_a_search_for_numbers_beyond_the_last_finds_nothing() -> None:
    play(
        """
        C: a SEARCH RETURN () 1000
        S: * ESEARCH (TAG "a")
        S: a OK That is all
        C: b SEARCH 1:3
        S: * SEARCH 1
        S: b OK That is all
        """,
        mails=[MAIL],
    )


def test_the_first_command_with_modseq_tells_the_highest() -> None:
    play(
        """
        C: a FETCH 1 MODSEQ
        S: * OK [HIGHESTMODSEQ 2] Latest change
        S: * 1 FETCH (MODSEQ (2))
        S: a OK That is all
        C: b FETCH 1 MODSEQ
        S: * 1 FETCH (MODSEQ (2))
        S: b OK That is all
        """,
        mails=[MAIL],
    )


def test_a_parent_is_not_told_again_for_children_that_are_listed_themselves() -> None:
    play(
        r"""
        C: a LIST (SUBSCRIBED RECURSIVEMATCH) "" (Lists Lists/post/old)
        S: * LIST (\HasNoChildren \Subscribed) "/" Lists/post/old
        S: a OK That is all
        """,
        mail=house(),
        start="logged in",
    )


def test_a_new_keyword_of_another_client_is_told_before_it_shows() -> None:
    play(
        r"""
        C: a NOOP
        S: a OK Nothing done
        C2: a STORE 1 FLAGS.SILENT (Work)
        S2: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft Work)
        S2: * OK [PERMANENTFLAGS ...
        S2: a OK Stored
        C: b FETCH 1 FLAGS
        S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft Work)
        S: * OK [PERMANENTFLAGS ...
        S: * 1 FETCH (FLAGS (Work \Recent))
        S: * 1 FETCH (UID 1 FLAGS (Work \Recent))
        S: b OK That is all
        """,
        mails=[MAIL],
    )
