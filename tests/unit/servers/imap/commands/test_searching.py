"""SEARCH and UID SEARCH as dialogues."""

import asyncio

import pytest

from epost.apps.mail.mailbox import MailTime, NewMail
from tests.support.imap_dialogue import MAIL, ImapHouse, mail_about, play

OLD = MailTime(1_577_880_000, 0)  # 1 Jan 2020 12:00 UTC
NIGHT = MailTime(1_577_923_200, 120)  # 2 Jan 2020 02:00 east of UTC, still 1 Jan at UTC


def found(keys: str) -> list[int]:
    """The numbers that a SEARCH finds in a folder of five mails."""

    async def scene() -> list[int]:
        house = ImapHouse()
        inbox = house.mail.folder("INBOX")
        await inbox.append(
            [
                NewMail(mail_about("lunch", "needle one\r\n"), frozenset({"\\Seen"}), OLD),
                NewMail(mail_about("=?utf-8?q?Caf=C3=A9?="), frozenset({"Later"}), NIGHT),
                NewMail(mail_about("lunch", sender="carol@x.org"), frozenset({"\\Deleted"})),
                NewMail(b"No-Date: yes\r\n\r\n" + b"x" * 1000 + b"\r\n"),
                NewMail(mail_about("dinner", "Needle two\r\n"), frozenset({"\\Seen", "Later"})),
            ]
        )
        client = await house.member()
        await client.command("SELECT INBOX")
        answer = await client.command(f"SEARCH {keys}")
        assert answer[-1] == "t OK That is all", answer
        await client.hang_up()
        return [int(number) for number in answer[0].split()[2:]]

    return asyncio.run(scene())


@pytest.mark.parametrize(
    ("keys", "numbers"),
    [
        ("ALL", [1, 2, 3, 4, 5]),
        ("SEEN", [1, 5]),
        ("UNSEEN", [2, 3, 4]),
        ("DELETED", [3]),
        ("UNDELETED UNSEEN", [2, 4]),
        ("ANSWERED", []),
        ("UNANSWERED FLAGGED", []),
        ("UNFLAGGED UNDRAFT", [1, 2, 3, 4, 5]),
        ("DRAFT", []),
        ("KEYWORD later", [2, 5]),
        ("UNKEYWORD LATER", [1, 3, 4]),
        ("RECENT", [1, 2, 3, 4, 5]),
        ("NEW", [2, 3, 4]),
        ("OLD", []),
        ("BEFORE 2-Jan-2020", [1]),
        ("ON 2-Jan-2020", [2]),
        ('SINCE "3-Jan-2020"', [3, 4, 5]),
        ("SENTON 1-Jan-2024", [1, 2, 3, 5]),
        ("SENTBEFORE 1-Jan-2024", []),
        ("SENTSINCE 1-Jan-2024 LARGER 10", [1, 2, 3, 5]),
        ("LARGER 1000", [4]),
        ("SMALLER 1000", [1, 2, 3, 5]),
        ("SUBJECT LUNCH", [1, 3]),
        ('CHARSET UTF-8 SUBJECT "café"', [2]),
        ("FROM carol", [3]),
        ("TO alice NOT FROM carol", [1, 2, 5]),
        ("CC alice", []),
        ("BCC alice", []),
        ('HEADER No-Date ""', [4]),
        ("HEADER no-date yes", [4]),
        ("BODY needle", [1, 5]),
        ("TEXT dinner", [5]),
        ("TEXT needle SUBJECT lunch SEEN", [1]),
        ("2:3", [2, 3]),
        ("2:4 BODY text UNSEEN", [2, 3]),
        ("4:*", [4, 5]),
        ("UID 1,5", [1, 5]),
        ("NOT 2:4", [1, 5]),
        ("OR 1 UID 5", [1, 5]),
        ("OR SEEN BODY needle", [1, 5]),
        ("OR BODY needle FROM carol", [1, 3, 5]),
        ("OR SEEN DELETED", [1, 3, 5]),
        ("NOT BODY needle", [2, 3, 4]),
        ("NOT (SEEN KEYWORD later)", [1, 2, 3, 4]),
        ("(OR (SEEN SUBJECT lunch) (NOT SUBJECT lunch) UNDELETED)", [1, 2, 4, 5]),
        ("NOT ALL", []),
        ("THREADID abc", []),
        ("EMAILID 00", []),
    ],
)
def test_each_key_finds_its_messages(keys: str, numbers: list[int]) -> None:
    assert found(keys) == numbers


def test_the_extended_answer_tells_what_was_asked_for() -> None:
    play(
        r"""
        C: a SEARCH RETURN (MIN MAX COUNT) ALL
        S: * ESEARCH (TAG "a") MIN 1 MAX 3 COUNT 3
        S: a OK That is all
        C: b UID SEARCH RETURN () UNSEEN
        S: * ESEARCH (TAG "b") UID ALL 1:3
        S: b OK That is all
        C: c SEARCH RETURN (MIN ALL COUNT) SEEN
        S: * ESEARCH (TAG "c") COUNT 0
        S: c OK That is all
        C: d SEARCH RETURN (FOO) SEEN
        S: d BAD Unknown SEARCH return option
        """,
        mails=[MAIL] * 3,
    )


def test_a_search_by_modseq_tells_the_highest() -> None:
    play(
        r"""
        C: a STORE 2 +FLAGS.SILENT (\Seen)
        S: a OK Stored
        C: b SEARCH MODSEQ 4
        S: * OK [HIGHESTMODSEQ 5] Latest change
        S: * SEARCH 2 3 (MODSEQ 5)
        S: b OK That is all
        C: c SEARCH RETURN (MAX) MODSEQ "/flags/\\draft" all 4
        S: * ESEARCH (TAG "c") MAX 3 MODSEQ 4
        S: c OK That is all
        C: d SEARCH NOT MODSEQ 1
        S: * SEARCH
        S: d OK That is all
        C: e STORE 1 +FLAGS.SILENT (\Seen)
        S: * 1 FETCH (MODSEQ (6))
        S: e OK Stored
        """,
        mails=[MAIL] * 3,
    )


def test_a_saved_result_is_used_by_later_commands() -> None:
    play(
        r"""
        C: a SEARCH RETURN (SAVE) SUBJECT b
        S: a OK That is all
        C: b FETCH $ UID
        S: * 2 FETCH (UID 2)
        S: b OK That is all
        C: c SEARCH OR $ 1
        S: * SEARCH 1 2
        S: c OK That is all
        C: d UID SEARCH RETURN (SAVE MIN) ALL
        S: * ESEARCH (TAG "d") UID MIN 1
        S: d OK That is all
        C: e UID STORE $ +FLAGS.SILENT (\Deleted)
        S: e OK Stored
        C: f UID EXPUNGE $
        S: * 1 EXPUNGE
        S: f OK Expunged
        C: g UID SEARCH UID $
        S: * SEARCH
        S: g OK That is all
        """,
        mails=[mail_about("a"), mail_about("b")],
    )


def test_a_search_that_fails_leaves_nothing_saved_and_a_wrong_one_what_was() -> None:
    play(
        r"""
        C: a SEARCH RETURN (SAVE) ALL
        S: a OK That is all
        C: b SEARCH RETURN (SAVE) FOO x
        S: b BAD Unknown search key
        C: c SEARCH CHARSET KOI8-R SUBJECT x
        S: c NO [BADCHARSET (US-ASCII UTF-8)] Only US-ASCII and UTF-8 are searched
        C: d SEARCH $
        S: * SEARCH 1 2
        S: d OK That is all
        C: e SEARCH RETURN (SAVE) CHARSET KOI8-R SUBJECT x
        S: e NO [BADCHARSET (US-ASCII UTF-8)] Only US-ASCII and UTF-8 are searched
        C: f SEARCH $
        S: * SEARCH
        S: f OK That is all
        C: g SEARCH RETURN (SAVE) ALL
        S: g OK That is all
        C: h SORT RETURN (SAVE) (DATE) KOI8-R ALL
        S: h NO [BADCHARSET (US-ASCII UTF-8)] Only US-ASCII and UTF-8 are searched
        C: i SEARCH $
        S: * SEARCH
        S: i OK That is all
        """,
        mails=[mail_about("a"), mail_about("b")],
    )


def test_wrong_searches_are_refused() -> None:
    play(
        r"""
        C: a SEARCH CHARSET KOI8-R SUBJECT x
        S: a NO [BADCHARSET (US-ASCII UTF-8)] Only US-ASCII and UTF-8 are searched
        C: b SEARCH FOO
        S: b BAD Space expected
        C: c SEARCH FOO 1
        S: c BAD Unknown search key
        C: d SEARCH ON 31-Feb-2020
        S: d BAD There is no such date
        C: e SEARCH ON 3-Foo-2020
        S: e BAD There is no such month
        C: f SEARCH 9
        S: * SEARCH
        S: f OK That is all
        C: g SEARCH MODSEQ "/flags/x" none 4
        S: g BAD Unknown type of metadata entry
        C: h SEARCH LARGER 99999999999999999999
        S: h BAD Number is too big
        """
    )


def test_an_or_takes_as_many_keys_as_a_client_chains() -> None:
    senders = " OR ".join(f"FROM nobody-{number}" for number in range(500))
    assert found(f"OR {senders} OR SUBJECT dinner OR FROM carol BODY one") == [1, 3, 5]
    assert found(f"NOT (OR {senders} OR SEEN DELETED)") == [2, 4]
    assert found("OR OR OR SEEN SEEN DELETED ALL") == [1, 2, 3, 4, 5]


def test_keys_nested_fifty_deep_are_searched() -> None:
    assert found("NOT (" * 50 + "SUBJECT lunch" + ")" * 50) == [1, 3]
    assert found("OR (" * 50 + "SUBJECT lunch" + ") DELETED" * 50) == [1, 3]
    assert found("(NOT " * 50 + "SEEN" + ")" * 50) == [1, 5]


def test_nesting_is_bounded() -> None:
    depth = 128
    fits, too_deep = "(" * (depth - 1), "(" * depth
    play(
        f"""
        C: a SEARCH {fits}SEEN{")" * len(fits)}
        S: * SEARCH
        S: a OK That is all
        C: b SEARCH {too_deep}SEEN{")" * len(too_deep)}
        S: b BAD Search is nested too deep
        C: c SEARCH {"NOT " * 5000}SEEN
        S: c BAD Search is nested too deep
        """
    )
