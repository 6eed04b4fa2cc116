"""BINARY as dialogues (RFC 3516), and the previews of RFC 8970."""

import asyncio

from tests.support.imap_dialogue import MAIL, ImapHouse, mail_about, play

PARTS = (
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBO\r\nRw==\r\n"
    b"--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9 \t\r\nb=  \r\nar\r\n"
    b"--b\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n#0V%T\r\n"
    b"--b--\r\n"
)


def test_parts_come_decoded() -> None:
    play(
        r"""
        C: a FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[2] FLAGS)
        S: * 1 FETCH (FLAGS (\Recent) BINARY.SIZE[1] 4 BINARY[2] {10}
        S: café
        S: bar)
        S: a OK That is all
        C: b UID FETCH 1 BINARY[2]<1.3>
        S: * 1 FETCH (UID 1 FLAGS (\Recent \Seen) BINARY[2]<1> {3}
        S: af""".rstrip()
        + "\N{REPLACEMENT CHARACTER})"
        + r"""
        S: b OK That is all
        C: c FETCH 1 BINARY.PEEK[3]
        S: c NO [UNKNOWN-CTE] ...
        C: d FETCH 1 BINARY.PEEK[4]
        S: * 1 FETCH (BINARY[4] NIL)
        S: d OK That is all
        C: e FETCH 1 BINARY.PEEK[1
        S: e BAD ] expected
        """,
        mails=[PARTS],
    )


def test_a_mail_with_nuls_is_kept_so_that_every_client_can_have_it() -> None:
    async def scene() -> None:
        house = ImapHouse()
        client = await house.member()
        mail = (
            b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\xff\0"
            + b"x" * 90
        )
        client.send(b"a APPEND INBOX ~{%d+}\r\n%b\r\n" % (len(mail), mail))
        assert (await client.line()).startswith(b"a OK")
        await client.command("SELECT INBOX")
        lines = await client.command("FETCH 1 (BODY.PEEK[] BINARY.PEEK[1])")
        assert "Content-Transfer-Encoding: base64" in lines
        assert b"BINARY[1] ~{93}\r\n\0\xff\0xxx" in bytes(client.writer.written)
        client.send(b"b APPEND INBOX ~{4+}\r\na\0bc\r\n")
        assert (await client.line()).startswith(b"b NO [UNKNOWN-CTE]")
        client.send(b"c APPEND INBOX {4+}\r\na\0bc\r\n")
        assert (await client.line()).startswith(b"c BAD")
        client.send(b"d APPEND INBOX UTF8 (~{%d+}\r\n%b)\r\n" % (len(MAIL), MAIL))
        await client.line()
        await client.line()
        assert (await client.line()).startswith(b"d OK")
        await client.hang_up()

    asyncio.run(scene())


def test_previews_are_the_first_words() -> None:
    html = b"Content-Type: text/html\r\n\r\n<html><style>p</style><p>Tea &amp; <b>toast</b>"
    play(
        """
        C: a FETCH 1:3 (PREVIEW)
        S: * 1 FETCH (PREVIEW "At noon?")
        S: * 2 FETCH (PREVIEW "Tea & toast")
        S: * 3 FETCH (PREVIEW "yes")
        S: a OK That is all
        C: b FETCH 1 (PREVIEW (LAZY) UID)
        S: * 1 FETCH (UID 1 PREVIEW "At noon?")
        S: b OK That is all
        C: c FETCH 1 PREVIEW (EAGER)
        S: c BAD Unknown FETCH modifier
        C: d FETCH 1 PREVIEW (changedsince 1)
        S: * OK [HIGHESTMODSEQ 4] Latest change
        S: * 1 FETCH (MODSEQ (2) PREVIEW "At noon?")
        S: d OK That is all
        """,
        mails=[MAIL, html, mail_about("x", "> Are you there?\r\nyes\r\n")],
    )
