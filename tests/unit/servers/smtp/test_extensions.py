"""Transcripts of the SMTP extensions: what clients ask for, and what the application is told."""

import asyncio
import smtplib
from dataclasses import replace

import pytest

from epost.apps.mail.delivery.delivery_wishes import (
    HOLD_SECONDS_MAX,
    DeliveryWishes,
    Notify,
    RecipientWishes,
)
from epost.apps.mail.delivery.submission import ORDINARY, Terms
from tests.support.access import ALICE
from tests.support.certificates import certificate
from tests.support.submission import PLAIN, WALL_MS, running
from tests.unit.servers.smtp.test_session import BOB, TEXT, TLS_ONLY, envelope, talk

DATA = b"DATA\r\n" + TEXT + b".\r\n"


def test_the_greeting_says_what_is_limited_and_how_long_a_mail_is_held() -> None:
    lines, _ = talk(b"EHLO me\r\n")
    assert "250-LIMITS RCPTMAX=1000" in lines
    assert "250-FUTURERELEASE 2592000 2023-12-14T22:13:20Z" in lines
    assert "250-REQUIRETLS" not in lines


# DSN


def test_what_the_sender_wants_to_be_told_reaches_the_application() -> None:
    _, mails = talk(
        f"MAIL FROM:<{ALICE}> RET=FULL ENVID=QQ314159\r\n"
        f"RCPT TO:<{BOB}> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob@old.example.org\r\n"
        "RCPT TO:<carol@example.org> NOTIFY=NEVER\r\n"
        "RCPT TO:<carol@other.org>\r\n".encode(),
        DATA,
    )
    (mail,) = mails
    assert mail.recipients == (BOB, "carol@example.org", "carol@other.org")
    assert mail.terms.wishes == DeliveryWishes(
        envelope_id="QQ314159",
        returns_full=True,
        recipients=(
            RecipientWishes(BOB, int(Notify.SUCCESS | Notify.DELAY), "rfc822;Bob@old.example.org"),
            RecipientWishes("carol@example.org", int(Notify.NEVER)),
        ),
    )


def test_a_mail_without_wishes_is_ordinary_also_after_one_with_some() -> None:
    first = f"MAIL FROM:<{ALICE}> RET=FULL\r\nRCPT TO:<{BOB}> NOTIFY=NEVER\r\n".encode()
    _, mails = talk(first, DATA, envelope(), DATA)
    assert [mail.terms == ORDINARY for mail in mails] == [False, True]


@pytest.mark.parametrize(
    "parameter", ["NOTIFY=SUCCESS,NEVER", "ORCPT=bob", "SIZE=3", "ORCPT=a;b c"]
)
def test_a_recipient_with_bad_parameters_is_refused(parameter: str) -> None:
    lines, _ = talk(f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}> {parameter}\r\nDATA\r\n".encode())
    assert [line[:3] for line in lines] in (["250", "501", "503"], ["250", "555", "503"])


def test_parameters_need_ehlo() -> None:
    _, after = b"EHLO me\r\n", b"HELO me\r\n"
    lines, _ = talk(
        after + f"MAIL FROM:<{ALICE}> SIZE=3\r\n".encode(),
        f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{BOB}> NOTIFY=NEVER\r\nRCPT TO:<{BOB}>\r\n".encode(),
    )
    assert [line[:3] for line in lines] == ["250", "501", "250", "501", "250"]


def test_a_second_mail_cannot_begin_inside_the_first() -> None:
    lines, _ = talk(envelope() + f"MAIL FROM:<{ALICE}>\r\n".encode())
    assert lines[-1] == "503 5.5.1 a mail has begun: finish it, or send RSET"


# CHUNKING and BINARYMIME


def test_a_pipelined_mail_in_chunks_is_answered_chunk_by_chunk() -> None:
    lines, mails = talk(
        envelope() + b"BDAT 5\r\nFrom:BDAT 0\r\nBDAT 6\r\n a@b\r\nBDAT 2 LAST\r\n\r\nNOOP\r\n"
    )
    assert [line[:3] for line in lines] == ["250"] * 7
    assert mails[0].octets == b"From: a@b\r\n\r\n"


def test_a_chunk_beyond_the_limit_is_refused_at_once_and_the_rest_is_read() -> None:
    config = replace(PLAIN, message_bytes_max=100)
    chunk = b"x" * 98 + b"\r\n"
    lines, mails = talk(
        envelope() + b"BDAT 100\r\n" + chunk + b"BDAT 1\r\nx" + b"BDAT 7 LAST\r\nRSET\r\n\0",
        b"NOOP\r\n" + envelope() + b"BDAT 100 LAST\r\n" + chunk,
        config=config,
    )
    assert [line[:9] for line in lines[2:]] == [
        *("250 2.0.0", "552 5.3.4", "503 5.5.1", "250 2.0.0"),
        *("250 2.1.0", "250 2.1.5", "250 2.0.0"),
    ]
    assert [mail.octets for mail in mails] == [chunk]


def test_endless_chunks_that_are_refused_end_the_session() -> None:
    config = replace(PLAIN, message_bytes_max=1000)
    lines, _ = talk(b"BDAT 999999999999\r\n" + bytes(200_000), config=config)
    assert lines[-1].startswith("552 5.3.4") or lines[-1].startswith("421")


def test_rset_drops_the_chunks_and_recipients_come_before_them() -> None:
    more = f"RCPT TO:<carol@example.org>\r\nMAIL FROM:<{ALICE}>\r\n".encode()
    lines, mails = talk(
        envelope() + b"BDAT 3\r\nabc" + more + b"RSET\r\n" + envelope() + b"BDAT 2 LAST\r\n\r\n"
    )
    codes = [line[:3] for line in lines]
    assert codes == ["250", "250", "250", "503", "503", "250", "250", "250", "250"]
    assert mails[0].octets == b"\r\n"


def test_a_binary_mail_comes_by_bdat_and_not_by_data() -> None:
    begin = f"MAIL FROM:<{ALICE}> BODY=BINARYMIME\r\nRCPT TO:<{BOB}>\r\n".encode()
    octets = b"A: b\r\n\r\n\0\n\r\x80"
    chunk = b"BDAT %d LAST\r\n%b" % (len(octets), octets)
    lines, mails = talk(begin + b"DATA\r\n" + chunk)
    assert lines[2] == "503 5.5.1 BODY=BINARYMIME goes with BDAT, not DATA"
    assert mails[0].octets == octets
    assert mails[0].terms.is_binary


# FUTURERELEASE


def test_a_mail_held_until_later_says_so_in_the_reply() -> None:
    lines, mails = talk(f"MAIL FROM:<{ALICE}> HOLDFOR=3600\r\nRCPT TO:<{BOB}>\r\n".encode(), DATA)
    assert lines[-1].endswith("4f2a, held until 2023-11-14T23:13:20Z")
    wishes = DeliveryWishes(hold="for;3600")
    assert mails[0].terms == Terms(wishes, not_before_ms=WALL_MS + 3_600_000)


def test_a_mail_is_not_held_for_longer_than_announced() -> None:
    lines, _ = talk(f"MAIL FROM:<{ALICE}> HOLDFOR={HOLD_SECONDS_MAX + 1}\r\n".encode())
    assert lines == ["501 5.5.4 a mail is not held for so long: see FUTURERELEASE"]


# REQUIRETLS


def test_requiretls_is_offered_and_granted_under_tls(tmp_path) -> None:
    contexts = certificate(tmp_path)

    async def run() -> None:
        async with running(TLS_ONLY, starttls=contexts[0]) as server:

            def conversation(client: smtplib.SMTP) -> None:
                client.ehlo()
                assert "requiretls" not in client.esmtp_features
                client.starttls(context=contexts[1])
                client.login(ALICE, server.access.token)
                assert "requiretls" in client.esmtp_features
                assert client.mail(ALICE, ["REQUIRETLS"])[0] == 250

            await server.client(conversation, login=False)

    asyncio.run(run())
