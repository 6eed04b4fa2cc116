"""COPY, MOVE, EXPUNGE as dialogues."""

from tests.support.imap_dialogue import MAIL, mail_about, play


def test_copy_names_the_uids() -> None:
    mail = play(
        r"""
        C: a CREATE Archive
        S: a OK [MAILBOXID (...
        C: b STORE 2 +FLAGS.SILENT (\Flagged)
        S: b OK Stored
        C: c COPY 1:2 Archive
        S: c OK [COPYUID 1002 1:2 1:2] Copied
        C: d UID COPY 3,9 Archive
        S: d OK [COPYUID 1002 3 3] Copied
        C: e UID COPY 9 Archive
        S: e OK There was nothing to copy
        C: f COPY 1 nowhere
        S: f NO [TRYCREATE] There is no such folder
        """,
        mails=[MAIL, MAIL, MAIL],
    )
    assert mail.folder("Archive").counters().messages == 3


def test_copy_into_the_selected_folder_announces_the_copies() -> None:
    play(
        """
        C: a COPY 1 INBOX
        S: * 2 EXISTS
        S: * 2 RECENT
        S: a OK [COPYUID 1001 1 2] Copied
        """,
        mails=[MAIL],
    )


def test_move_is_one_step_for_everybody() -> None:
    mail = play(
        """
        C: a CREATE Archive
        S: a OK [MAILBOXID (...
        C2: a NOOP
        S2: a OK Nothing done
        C: b MOVE 1,3 Archive
        S: * OK [COPYUID 1002 1,3 1:2] Moved
        S: * 3 EXPUNGE
        S: * 1 EXPUNGE
        S: b OK Moved
        C2: b NOOP
        S2: * 3 EXPUNGE
        S2: * 1 EXPUNGE
        S2: b OK Nothing done
        C: c UID MOVE 1 Archive
        S: c OK There was nothing to move
        C: d UID MOVE 2 nowhere
        S: d NO [TRYCREATE] There is no such folder
        """,
        mails=[mail_about("a"), mail_about("b"), mail_about("c")],
    )
    assert list(mail.folder("INBOX").uids()) == [2]


def test_expunge_removes_what_is_deleted() -> None:
    play(
        r"""
        C: a STORE 1,3:4 +FLAGS.SILENT (\Deleted)
        S: a OK Stored
        C: b UID EXPUNGE 1:2
        S: * 1 EXPUNGE
        S: b OK Expunged
        C: c EXPUNGE
        S: * 3 EXPUNGE
        S: * 2 EXPUNGE
        S: c OK Expunged
        C: d FETCH 1:* UID
        S: * 1 FETCH (UID 2)
        S: d OK That is all
        """,
        mails=[MAIL] * 4,
    )


def test_numbers_do_not_shift_during_fetch_store_and_search() -> None:
    play(
        r"""
        C: z NOOP
        S: z OK Nothing done
        C2: a STORE 1 +FLAGS.SILENT (\Deleted)
        S2: a OK Stored
        C: a STORE 3 +FLAGS (\Seen)
        S: * 3 FETCH (FLAGS (\Recent \Seen))
        S: * 1 FETCH (UID 1 FLAGS (\Deleted \Recent))
        S: a OK Stored
        C2: b EXPUNGE
        S2: * 1 EXPUNGE
        S2: * 2 FETCH (UID 3 FLAGS (\Seen))
        S2: b OK Expunged
        C: b FETCH 3 UID
        S: * 3 FETCH (UID 3)
        S: b OK That is all
        C: c SEARCH SEEN
        S: * SEARCH 3
        S: c OK That is all
        C: d STORE 3 -FLAGS (\Seen)
        S: * 3 FETCH (FLAGS (\Recent))
        S: d OK Stored
        C: e UID SEARCH ALL
        S: * SEARCH 1 2 3
        S: * 1 EXPUNGE
        S: e OK That is all
        """,
        mails=[MAIL] * 3,
    )
