"""STORE and UID STORE as dialogues."""

from tests.support.imap_dialogue import MAIL, play


def test_flags_are_added_removed_and_replaced() -> None:
    mail = play(
        r"""
        C: a STORE 1 +FLAGS (\Seen \flagged)
        S: * 1 FETCH (FLAGS (\Flagged \Recent \Seen))
        S: a OK Stored
        C: b UID STORE 1 -flags \Seen
        S: * 1 FETCH (UID 1 FLAGS (\Flagged \Recent))
        S: b OK Stored
        C: c STORE 1 FLAGS (\Draft \Recent)
        S: * 1 FETCH (FLAGS (\Draft \Recent))
        S: c OK Stored
        C: d STORE 1 FLAGS ()
        S: * 1 FETCH (FLAGS (\Recent))
        S: d OK Stored
        C: e STORE 1 +FLAGS \Answered \Deleted
        S: * 1 FETCH (FLAGS (\Answered \Deleted \Recent))
        S: e OK Stored
        """,
        mails=[MAIL],
    )
    assert mail.folder("INBOX").counters().deleted == 1


def test_silent_store_says_nothing_but_other_sessions_hear_of_it() -> None:
    play(
        r"""
        C2: a NOOP
        S2: a OK Nothing done
        C: a STORE 1:2 +FLAGS.SILENT (\Seen)
        S: a OK Stored
        C: b NOOP
        S: b OK Nothing done
        C2: b NOOP
        S2: * 1 FETCH (UID 1 FLAGS (\Recent \Seen))
        S2: * 2 FETCH (UID 2 FLAGS (\Recent \Seen))
        S2: b OK Nothing done
        """,
        mails=[MAIL, MAIL],
    )


def test_unchanged_since_protects_messages_that_changed() -> None:
    play(
        r"""
        C: a STORE 1 +FLAGS.SILENT (\Seen)
        S: a OK Stored
        C: b STORE 1:2 (UNCHANGEDSINCE 3) +FLAGS.SILENT (\Deleted)
        S: * OK [HIGHESTMODSEQ 4] Latest change
        S: * 2 FETCH (MODSEQ (5))
        S: b OK [MODIFIED 1] Some messages changed meanwhile
        C: c UID STORE 1:2 (UNCHANGEDSINCE 0) FLAGS (\Deleted)
        S: c OK [MODIFIED 1:2] Some messages changed meanwhile
        C: d STORE 1 (UNCHANGEDSINCE 4) +FLAGS (\Deleted)
        S: * 1 FETCH (FLAGS (\Deleted \Recent \Seen) MODSEQ (6))
        S: d OK Stored
        """,
        mails=[MAIL, MAIL],
    )


def test_a_new_keyword_is_announced_before_it_is_shown() -> None:
    play(
        r"""
        C: a STORE 1 +FLAGS (Later)
        S: * FLAGS (\Answered \Flagged \Deleted \Seen \Draft Later)
        S: * OK [PERMANENTFLAGS (\Answered \Flagged \Deleted \Seen \Draft Later \*)] ...
        S: * 1 FETCH (FLAGS (Later \Recent))
        S: a OK Stored
        C: b STORE 1 -FLAGS (LATER)
        S: * 1 FETCH (FLAGS (\Recent))
        S: b OK Stored
        """,
        mails=[MAIL],
    )


def test_missing_messages_are_told_for_numbers_and_not_for_uids() -> None:
    play(
        r"""
        C2: a NOOP
        S2: a OK Nothing done
        C: a STORE 1 +FLAGS.SILENT (\Deleted)
        S: a OK Stored
        C: b EXPUNGE
        S: * 1 EXPUNGE
        S: b OK Expunged
        C2: b STORE 1:2 +FLAGS (\Seen)
        S2: * 2 FETCH (FLAGS (\Recent \Seen))
        S2: * 1 FETCH (UID 1 FLAGS (\Deleted \Recent))
        S2: b OK [EXPUNGEISSUED] ...
        C2: c UID STORE 1:2 -FLAGS (\Seen)
        S2: * 2 FETCH (UID 2 FLAGS (\Recent))
        S2: * 1 EXPUNGE
        S2: c OK Stored
        C: c NOOP
        S: * 1 FETCH (UID 2 FLAGS ())
        S: c OK Nothing done
        """,
        mails=[MAIL, MAIL],
    )


def test_a_folder_open_for_reading_is_not_changed() -> None:
    play(
        r"""
        C: a EXAMINE INBOX
        S: * OK [CLOSED] ...
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ()] ...
        S: * 1 EXISTS
        S: * 0 RECENT
        S: * OK [UNSEEN 1] ...
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: a OK [READ-ONLY] ...
        C: b STORE 1 +FLAGS (\Seen)
        S: b NO The folder is open for reading only
        C: c EXPUNGE
        S: c NO The folder is open for reading only
        C: d UID EXPUNGE 1
        S: d NO The folder is open for reading only
        C: e MOVE 1 INBOX
        S: e NO The folder is open for reading only
        """,
        mails=[MAIL],
    )


def test_wrong_stores_are_refused() -> None:
    play(
        r"""
        C: a STORE 1 FLAG (\Seen)
        S: a BAD FLAGS expected
        C: b STORE 1 +FLAGS (\Foo)
        S: b BAD \Foo is not a flag of this server
        C: c STORE 1 (CHANGEDSINCE 4) +FLAGS (\Seen)
        S: c BAD Unknown STORE modifier
        C: d STORE 1,,2 +FLAGS (\Seen)
        S: d BAD Message set is not well-formed
        """,
        mails=[MAIL],
    )


def test_too_many_keywords_are_refused() -> None:
    script = []
    for number in range(0, 256, 64):
        names = " ".join(f"k{n}" for n in range(number, number + 64))
        script += [f"C: a STORE 1 +FLAGS.SILENT ({names})", "S: * FLAGS (...", "S: * OK [PERM..."]
        script += ["S: a OK Stored"]
    script += ["C: b STORE 1 +FLAGS (onemore)", "S: b NO [OVERQUOTA] ..."]
    play("\n".join(script), mails=[MAIL])
