"""CREATE, DELETE, RENAME, SUBSCRIBE, STATUS, NAMESPACE as dialogues."""

import pytest

from epost.apps.mail.mailbox import SpecialUse
from epost.foundation.errors import NoSuchFolder
from tests.support.imap_dialogue import MAIL, play


def test_folders_are_made_renamed_and_removed() -> None:
    mail = play(
        r"""
        C: a CREATE "Arch&AOk-/2024/"
        S: a OK [MAILBOXID (...
        C: b CREATE Arch&AOk-/2024
        S: b NO [ALREADYEXISTS] There is such a folder already
        C: c RENAME Arch&AOk-/2024 Old
        S: c OK Renamed
        C: d RENAME nowhere Other
        S: d NO [NONEXISTENT] There is no such folder
        C: e CREATE Sent (USE (\Sent))
        S: e OK [MAILBOXID (...
        C: f RENAME Sent Old
        S: f NO [ALREADYEXISTS] There is such a folder already
        C: g DELETE Old
        S: g OK Deleted
        C: h DELETE Old
        S: h NO [NONEXISTENT] There is no such folder
        C: i DELETE inbox
        S: i NO [CANNOT] INBOX cannot be deleted
        C: j CREATE inbox
        S: j NO [ALREADYEXISTS] There is such a folder already
        """,
        start="logged in",
    )
    assert mail.folder("Sent").info.special_use is SpecialUse.SENT
    with pytest.raises(NoSuchFolder):
        mail.folder("Old")


def test_renaming_inbox_gives_its_mail_away() -> None:
    play(
        """
        C: a RENAME INBOX Saved
        S: * 1 EXPUNGE
        S: a OK Renamed
        C: b STATUS Saved (MESSAGES)
        S: * STATUS Saved (MESSAGES 1)
        S: b OK That is the status
        """,
        mails=[MAIL],
    )


def test_names_that_cannot_be_are_refused() -> None:
    play(
        """
        C: a CREATE a//b
        S: a BAD This cannot be the name of a folder
        C: b CREATE "a*"
        S: b BAD This cannot be the name of a folder
        C: c CREATE /
        S: c BAD This cannot be the name of a folder
        C: d CREATE caf&AOk
        S: d NO [CANNOT] Folder name is not modified UTF-7
        C: e CREATE """
        + "x" * 256
        + r"""
        S: e BAD Folder name is too long
        C: g CREATE x (SIZE 4)
        S: g BAD Unknown CREATE parameter
        """,
        start="logged in",
    )


def test_a_special_use_that_cannot_be_had_makes_no_folder() -> None:
    play(
        r"""
        C: a CREATE x (USE (\Foo))
        S: a NO [USEATTR] A folder has one of the special uses that LIST knows, or none
        C: b CREATE x (USE (\Sent \Trash))
        S: b NO [USEATTR] A folder has one of the special uses that LIST knows, or none
        C: c LIST "" x
        S: c OK That is all
        C: d CREATE x (USE (\Sent \sent))
        S: d OK [MAILBOXID (...
        """,
        start="logged in",
    )


def test_status_tells_what_is_asked_for() -> None:
    play(
        r"""
        C: a STATUS inbox (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE)
        S: * STATUS INBOX (MESSAGES 1 RECENT 1 UIDNEXT 2 UIDVALIDITY 1001 UNSEEN 1 DELETED 0 \
            SIZE 147)
        S: a OK That is the status
        C: b STATUS INBOX (HIGHESTMODSEQ APPENDLIMIT)
        S: * STATUS INBOX (HIGHESTMODSEQ 2 APPENDLIMIT 2147483648)
        S: b OK That is the status
        C: c STATUS INBOX (MAILBOXID)
        S: * STATUS INBOX (MAILBOXID (...
        S: c OK That is the status
        C: d STATUS INBOX (FOO)
        S: d BAD Unknown status item
        C: e STATUS nowhere (MESSAGES)
        S: e NO [NONEXISTENT] There is no such folder
        C: f NAMESPACE
        S: * NAMESPACE (("" "/")) NIL NIL
        S: f OK That is all
        """,
        start="logged in",
        mails=[MAIL],
    )


def test_deleting_the_selected_folder_unselects_it_and_ends_other_sessions() -> None:
    play(
        """
        C: a CREATE Box
        S: a OK ...
        C: b EXAMINE Box
        S: * OK [CLOSED] ...
        S: * FLAGS ...
        S: * OK [PERMANENTFLAGS ...
        S: * 0 EXISTS
        S: * 0 RECENT
        S: * OK [UIDVALIDITY ...
        S: * OK [UIDNEXT ...
        S: * OK [HIGHESTMODSEQ ...
        S: * OK [MAILBOXID ...
        S: b OK ...
        C2: a EXAMINE Box
        S2: * OK [CLOSED] ...
        S2: * FLAGS ...
        S2: * OK [PERMANENTFLAGS ...
        S2: * 0 EXISTS
        S2: * 0 RECENT
        S2: * OK [UIDVALIDITY ...
        S2: * OK [UIDNEXT ...
        S2: * OK [HIGHESTMODSEQ ...
        S2: * OK [MAILBOXID ...
        S2: a OK ...
        C: c DELETE Box
        S: c OK Deleted
        C: d CHECK
        S: d BAD Please select a folder first
        C2: b NOOP
        S2: b OK Nothing done
        S2: * BYE The selected folder was deleted
        """
    )
