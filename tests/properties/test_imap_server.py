"""Whatever commands a client strings together, each is answered and the server lives on."""

import asyncio

from hypothesis import example, given, settings
from hypothesis import strategies as st

from epost.servers.imap.dispatch import VERBS
from epost.servers.imap.limits import ImapLimits
from tests.support.imap_dialogue import ImapHouse, mail_about, put

WAITING = {b"IDLE", b"AUTHENTICATE", b"LOGOUT", b"STARTTLS", b"COMPRESS", b"APPEND"}
WORDS = [
    *b"1 1:* 2,3 * $ 9999 ALL FLAGS (FLAGS UID) BODY[] BODY.PEEK[1.MIME]<0.9> BINARY[1]".split(),
    *b"ENVELOPE BODYSTRUCTURE PREVIEW (UID INBOX Other New Gone/a % *".split(),
    *b'"" "x" () (MESSAGES SIZE) (STATUS RETURN (MIN) (SAVE) (COUNT) OR NOT SEEN'.split(),
    *b"KEYWORD Work TEXT lunch OLDER 5 MODSEQ 2 (SUBJECT) (REVERSE DATE) UTF-8".split(),
    *b"REFERENCES ORDEREDSUBJECT IN (personal) (subtree Other) QRESYNC UIDONLY IMAP4rev2".split(),
    *b"UTF8=ACCEPT CONDSTORE (CONDSTORE) (QRESYNC (1001 1)) (CHANGEDSINCE 1)".split(),
    *rb"+FLAGS -FLAGS.SILENT (\Deleted) (\Seen Work) (USE (\Sent)) {2+} NIL".split(),
]
known = st.sampled_from(
    [
        b"UID FETCH 1:* (BODY.PEEK[] PREVIEW BINARY.SIZE[1] MODSEQ)",
        b"UID SORT RETURN (ALL SAVE) (SUBJECT REVERSE DATE) UTF-8 ALL",
        b"UID MOVE $ Other",
        b"THREAD REFERENCES UTF-8 ALL",
        b"ENABLE QRESYNC UIDONLY IMAP4rev2",
        b"SELECT INBOX (QRESYNC (1001 1))",
        b"SELECT Other",
        b"DELETE Other",
        rb"UID STORE 1:3 +FLAGS (\Deleted)",
        b"EXPUNGE",
        b"CLOSE",
        b"RENAME INBOX Other2",
        b"NOTIFY SET STATUS (SELECTED (MessageNew (UID BODY[]) MessageExpunge FlagChange))"
        b" (PERSONAL (MessageNew MessageExpunge MailboxName SubscriptionChange))",
        b"NOTIFY SET (SELECTED-DELAYED (MessageNew MessageExpunge)) (INBOXES (MailboxName))",
        b"NOTIFY NONE",
        b"ENABLE METADATA",
        b'SETMETADATA INBOX (/private/a "x" /shared/b NIL)',
        b"GETMETADATA (DEPTH infinity MAXSIZE 1) INBOX /private",
        b'LIST "" * RETURN (METADATA (/private/a))',
        b"UID FETCH 1:* SAVEDATE",
        b"UID SEARCH NOT SAVEDSINCE 1-Jan-2020",
    ]
)
verbs = st.sampled_from(sorted(VERBS.keys() - WAITING))
made = st.tuples(verbs, st.lists(st.sampled_from(WORDS), max_size=5)).map(
    lambda parts: b" ".join((parts[0], *parts[1])).replace(b"{2+}", b'"yz"')
)


@settings(max_examples=60, deadline=None)
@given(st.lists(known | made, max_size=12))
@example([b"ENABLE UIDONLY", b"SELECT INBOX (QRESYNC (1001 1 1:3 (1 1)))"])
def test_every_command_is_answered(commands: list[bytes]) -> None:
    async def scene() -> None:
        house = ImapHouse(limits=ImapLimits(bad_commands_max=1000))
        await house.mail.create("Other")
        for subject in ("lunch", "Re: lunch", "tea"):
            await put(house.mail, mail_about(subject))
        client = await house.member()
        await client.command("SELECT INBOX")
        for number, command in enumerate((*commands, b"NOOP")):
            tag = b"q%d" % number
            client.send(tag + b" " + command + b"\r\n")
            while not (line := await client.line()).startswith(tag + b" "):
                assert not line.startswith(b"* BYE The server has a problem")
        await client.hang_up()

    asyncio.run(scene())
