"""Conversations with the submission server, over loopback."""

import asyncio
import base64
import smtplib
import socket
import ssl
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from epost.apps.mail.delivery.submission import Submitted
from epost.apps.mail.mailbox import Durability
from epost.foundation.errors import NotPermitted, TooFewReplicas
from epost.servers.smtp.config import PlaintextLogin, SmtpConfig
from tests.support.access import ALICE, ScramClient
from tests.support.certificates import certificate
from tests.support.submission import PLAIN, Mail, MemorySubmitter, Server, read_all, running

BOB = "bob@example.org"
TEXT = b"From: alice@example.org\r\nSubject: hi\r\n\r\nhello\r\n"


def login_line(server: Server) -> bytes:
    response = base64.b64encode(f"\0{ALICE}\0{server.access.token}".encode())
    return b"EHLO me\r\nAUTH PLAIN " + response + b"\r\n"


def envelope(recipient: str = BOB) -> bytes:
    return f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{recipient}>\r\n".encode()


def talk(*pieces: bytes, config: SmtpConfig = PLAIN, login: bool = True, **options):
    """Send pieces (after a login) in one go; return the reply lines and the mails submitted."""

    async def run() -> tuple[list[str], list[Mail]]:
        async with running(config, **options) as server:
            start = (login_line(server),) if login else ()
            replies = await server.send(*start, *pieces)
            return replies.decode().splitlines(), server.submitter.mails

    lines, mails = asyncio.run(run())
    after_login = next((at for at, line in enumerate(lines) if line.startswith("235")), -1)
    return lines[after_login + 1 :], mails


def use(conversation, *, login: bool = True, **options) -> Server:
    """Run a blocking conversation of smtplib."""

    async def run() -> Server:
        async with running(**options) as server:
            await server.client(conversation, login=login)
            return server

    return asyncio.run(run())


def test_a_mail_is_submitted_octet_for_octet() -> None:
    text = TEXT + b".\r\n..two dots\r\n\r\n.\x01\xff" + b"x" * 70_000 + b"\r\n"

    def conversation(client: smtplib.SMTP) -> None:
        client.sendmail(ALICE, [BOB, "carol@example.org"], text)

    server = use(conversation)
    assert server.submitter.mails == [Mail(ALICE, ALICE, (BOB, "carol@example.org"), text)]


def test_the_greeting_announces_what_is_offered() -> None:
    def conversation(client: smtplib.SMTP) -> None:
        client.ehlo()
        assert set(client.esmtp_features) == {
            *("size", "8bitmime", "smtputf8", "pipelining", "enhancedstatuscodes"),
            *("chunking", "binarymime", "dsn", "futurerelease", "limits", "auth"),
        }
        assert client.esmtp_features["auth"].split() == ["SCRAM-SHA-256", "PLAIN", "LOGIN"]
        assert client.esmtp_features["size"] == str(2**31)

    use(conversation, login=False)


def test_the_reply_says_which_promise_was_given() -> None:
    lines, _ = talk(envelope(), b"DATA\r\n" + TEXT + b".\r\nQUIT\r\n")
    assert lines == [
        "250 2.1.0 sender ok",
        "250 2.1.5 recipient ok",
        "354 end with a line of a single dot",
        "250 2.0.0 ring-durable: on 3 of 3 machines, 4f2a",
        "221 2.0.0 Bye",
    ]
    held = MemorySubmitter(answer=Submitted(Durability.HELD_LOCALLY, 1, 3, "77"))
    lines, _ = talk(envelope(), b"DATA\r\n" + TEXT + b".\r\n", submitter=held)
    assert lines[-1] == "250 2.0.0 held locally: on 1 of 3 machines, 77"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_smtplib_logs_in_with_passwords(mechanism: str) -> None:
    async def run() -> None:
        async with running() as server:

            def conversation(client: smtplib.SMTP) -> None:
                client.ehlo()
                client.user, client.password = ALICE, server.access.token
                method = getattr(client, f"auth_{mechanism.lower()}")
                assert client.auth(mechanism, method)[0] == 235
                assert client.auth(mechanism, method, initial_response_ok=False)[0] == 503

            await server.client(conversation, login=False)

    asyncio.run(run())


def scram_login(client: smtplib.SMTP, scram: ScramClient, mechanism: str = "SCRAM-SHA-256"):
    """Log in as clients do that know SCRAM; smtplib does not."""
    client.ehlo()
    first = base64.b64encode(scram.first()).decode()
    code, challenge = client.docmd("AUTH", f"{mechanism} {first}")
    if code != 334:
        return code, challenge
    final = base64.b64encode(scram.final(base64.b64decode(challenge))).decode()
    code, challenge = client.docmd(final)
    if code != 334:
        return code, challenge
    assert scram.trusts(base64.b64decode(challenge))
    return client.docmd("")


def test_scram_logs_in_without_showing_the_password() -> None:
    config = replace(PLAIN, plaintext_login=PlaintextLogin.SCRAM_ONLY)

    async def run() -> None:
        async with running(config) as server:

            def conversation(client: smtplib.SMTP) -> None:
                client.ehlo()
                assert client.esmtp_features["auth"].split() == ["SCRAM-SHA-256"]
                assert client.docmd("AUTH", "PLAIN")[0] == 504
                assert scram_login(client, ScramClient(ALICE, "wrong"))[0] == 535
                assert scram_login(client, ScramClient(ALICE, server.access.token))[0] == 235

            await server.client(conversation, login=False)

    asyncio.run(run())


def test_wrong_passwords_are_slowed_down_by_the_injected_clock() -> None:
    async def run() -> None:
        async with running() as server:

            def conversation(client: smtplib.SMTP) -> None:
                for _ in range(4):
                    with pytest.raises(smtplib.SMTPAuthenticationError):
                        client.login(ALICE, "wrong")

            await server.client(conversation, login=False)
            # smtplib tries PLAIN, then LOGIN: eight attempts.
            assert server.access.time.slept == [1, 2, 4, 8, 16, 32, 60]

    asyncio.run(run())


def test_too_many_waiting_logins_are_told_to_come_back() -> None:
    async def run() -> None:
        async with running() as server:
            for _ in range(9):
                server.access.throttle.failed("127.0.0.1", ALICE)
            server.access.time.stop()
            waiting = asyncio.create_task(server.send(login_line(server)))
            await server.access.time.asleep.wait()
            assert b"454 4.7.0" in await server.send(login_line(server))
            server.access.time.go_on.set()
            assert b"235 2.7.0" in await waiting

    asyncio.run(run())


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"AUTH", "504 5.5.4"),
        (b"AUTH CRAM-MD5", "504 5.5.4"),
        (b"AUTH PLAIN =", "501 5.5.2"),
        (b"AUTH PLAIN !", "501 5.5.2"),
        (b"AUTH PLAIN \xc3\xa4", "501 5.5.2"),
        (b"AUTH PLAIN\r\n*", "501 5.7.0"),
        (b"AUTH PLAIN\r\n!", "501 5.5.2"),
        (b"AUTH LOGIN\r\n/w==", "501 5.5.2"),
        (b"MAIL FROM:<alice@example.org>", "530 5.7.0"),
        (b"DATA", "530 5.7.0"),
        (b"BDAT 3", "530 5.7.0"),
    ],
)
def test_before_login_only_a_login_is_possible(line: bytes, code: str) -> None:
    lines, _ = talk(b"EHLO me\r\n" + line + b"\r\n", login=False)
    assert lines[-1].startswith(code)


def test_commands_before_a_greeting_are_refused() -> None:
    for line in (b"MAIL FROM:<a@b>", b"AUTH PLAIN", b"DATA"):
        lines, _ = talk(line + b"\r\n", login=False)
        assert lines[-1].startswith("503")
    lines, _ = talk(b"HELO me\r\nAUTH PLAIN\r\n", login=False)
    assert lines[-1] == "503 5.5.1 send EHLO first"


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        (BOB, "250 2.1.5 recipient ok"),
        ("later@example.org", "250 2.1.5 recipient cannot be looked up now; you will be told"),
        (
            "robert@example.org",
            "251 2.1.5 the address has changed; will forward to <bob@example.org>",
        ),
        ("nobody@example.org", "550 5.1.1"),
        ("x@elsewhere.example", "550 5.1.2 this organisation has no Internet gateway yet"),
        ("", "553 5.1.3"),
        ("a b@x", "553 5.1.3"),
        ("jürgen@example.org", "553 5.6.7"),
    ],
)
def test_recipients_are_judged_one_by_one(recipient: str, reply: str) -> None:
    lines, _ = talk(f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{recipient}>\r\n".encode())
    assert lines[1].startswith(reply)


def test_mail_to_a_former_address_is_taken() -> None:
    _, mails = talk(
        f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<robert@example.org>\r\nDATA\r\n".encode(),
        TEXT + b".\r\n",
    )
    assert mails[0].recipients == ("robert@example.org",)


def test_international_addresses_need_smtputf8() -> None:
    lines, mails = talk(
        f"MAIL FROM:<{ALICE}> SMTPUTF8 BODY=8BITMIME\r\nRCPT TO:<jürgen@example.org>\r\n".encode(),
        b"DATA\r\n" + TEXT + b".\r\n",
    )
    assert mails[0].recipients == ("jürgen@example.org",)
    lines, _ = talk("MAIL FROM:<jürgen@example.org>\r\n".encode())
    assert lines == ["553 5.6.7 this address needs MAIL with SMTPUTF8"]


def test_a_recipient_named_twice_gets_one_mail() -> None:
    _, mails = talk(envelope(), f"RCPT TO:<{BOB}>\r\nDATA\r\n".encode() + TEXT + b".\r\n")
    assert mails[0].recipients == (BOB,)


def test_recipients_of_one_mail_are_bounded() -> None:
    config = replace(PLAIN, recipients_max=2)
    more = b"".join(f"RCPT TO:<bob{n}@example.org>\r\n".encode() for n in range(2))
    lines, _ = talk(envelope(), more, config=config)
    assert [line[:9] for line in lines[1:]] == ["250 2.1.5", "250 2.1.5", "452 4.5.3"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("MAIL FROM:<bob@example.org>", "550 5.7.1"),
        ("MAIL FROM:<>", "250 2.1.0"),
        ("MAIL FROM: <alice@example.org>", "250 2.1.0"),
        ("MAIL FROM:<alice@example.org> AUTH=<> SIZE=5", "250 2.1.0"),
        ("MAIL FROM:<alice@example.org> SIZE=9999999999", "552 5.3.4"),
        ("MAIL FROM:<alice@example.org> SIZE=²", "501 5.5.4"),
        ("MAIL FROM:<alice@example.org> MT-PRIORITY=3", "555 5.5.4"),
        ("MAIL FROM:<alice@example.org> REQUIRETLS", "555 5.5.4"),
        ("MAIL FROM:alice@example.org", "553 5.1.3"),
        ("MAIL", "501 5.5.4"),
        ("MAIL TO:<x>", "501 5.5.4"),
        ("RCPT TO:<bob@example.org>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("BDAT 0 LAST", "503 5.5.1"),
        ("BDAT", "501 5.5.4"),
        ("BDAT -1", "501 5.5.4"),
        ("EHLO", "501 5.5.4"),
        ("STARTTLS", "502 5.5.1"),
        ("VRFY bob", "252 2.1.5"),
        ("VRFY", "501 5.5.4"),
        ("EXPN list", "502 5.5.1"),
        ("NOOP", "250 2.0.0"),
        ("RSET", "250 2.0.0"),
        ("HELP", "214 2.0.0 EHLO HELO"),
        ("HELP MAIL", "214 2.0.0"),
        ("FOO", "500 5.5.1"),
        ("FÖÖ", "500 5.5.1"),
        ("MAIL FROM:<error@example.org>", "451 4.4.0"),
        ("", "500 5.5.1"),
        ("NOOP " + "x" * 5000, "500 5.5.2"),
        ("AUTH PLAIN", "503 5.5.1"),
    ],
)
def test_each_command_has_its_reply_with_an_enhanced_code(line: str, code: str) -> None:
    lines, _ = talk(f"{line}\r\n".encode())
    assert lines[0].startswith(f"{code} ")


def test_the_null_sender_of_notifications_is_passed_on_as_empty() -> None:
    _, mails = talk(f"MAIL FROM:<>\r\nRCPT TO:<{BOB}>\r\nDATA\r\n".encode() + TEXT + b".\r\n")
    assert mails[0].sender == ""


def test_data_needs_a_recipient_and_no_argument() -> None:
    mail = f"MAIL FROM:<{ALICE}>\r\n".encode()
    assert talk(mail + b"DATA\r\n")[0][-1] == "503 5.5.1 send RCPT first"
    assert talk(envelope() + b"DATA x\r\n")[0][-1].startswith("501 5.5.4")


def test_a_second_mail_follows_on_the_same_connection() -> None:
    one = envelope() + b"DATA\r\n" + TEXT + b".\r\n"
    _, mails = talk(one + one)
    assert len(mails) == 2


def test_rset_forgets_the_transaction() -> None:
    lines, mails = talk(envelope() + b"BDAT 3\r\nabcRSET\r\nDATA\r\n")
    assert [line[:3] for line in lines] == ["250", "250", "250", "250", "503"]
    assert mails == []


def test_chunks_make_one_mail_that_may_lack_a_last_line_end() -> None:
    lines, mails = talk(
        envelope() + b"BDAT 8\r\n.a\r\n..b\r",
        b"BDAT 3\r\n\ncd",
        b"bdat 0 last\r\n",
    )
    assert mails[0].octets == b".a\r\n..b\r\ncd"
    assert lines[2:] == [
        "250 2.0.0 8 octets received",
        "250 2.0.0 3 octets received",
        "250 2.0.0 ring-durable: on 3 of 3 machines, 4f2a",
    ]


def test_a_chunk_without_recipients_is_read_and_refused() -> None:
    lines, mails = talk(f"MAIL FROM:<{ALICE}>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n".encode())
    assert [line[:9] for line in lines] == ["250 2.1.0", "503 5.5.1", "250 2.0.0"]
    assert mails == []


def test_data_is_refused_after_bdat_has_begun() -> None:
    lines, _ = talk(envelope() + b"BDAT 3\r\nabcDATA\r\n")
    assert lines[-1] == "503 5.5.1 BDAT has begun: send BDAT or RSET"


def test_errors_of_the_application_become_replies() -> None:
    for error, reply in (
        (TooFewReplicas("no disk"), "451 4.4.0 not now: no disk"),
        (NotPermitted("From: is boss@example.org"), "550 5.7.1 not permitted: From: is boss@"),
    ):
        lines, _ = talk(
            envelope() + b"DATA\r\n" + TEXT + b".\r\nNOOP\r\n",
            submitter=MemorySubmitter(error=error),
        )
        assert lines[-2].startswith(reply)
        assert lines[-1].startswith("250")
    lines, _ = talk(envelope("error@x"), submitter=MemorySubmitter(error=TooFewReplicas("no")))
    assert lines[-1] == "451 4.4.0 not now: no"


def test_a_client_that_leaves_in_the_middle_of_a_mail_submits_nothing() -> None:
    for rest in (b"DATA\r\n" + TEXT, b"DATA\r\n", b"BDAT 9 LAST\r\nabc"):
        _, mails = talk(envelope() + rest)
        assert mails == []


def test_a_mistake_of_ours_is_reported_and_acknowledges_nothing() -> None:
    reported: list[dict[str, object]] = []

    async def run() -> bytes:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: reported.append(what))
        async with running(submitter=MemorySubmitter(error=AssertionError("broken"))) as server:
            return await server.send(
                login_line(server), envelope() + b"DATA\r\n" + TEXT + b".\r\nNOOP\r\n"
            )

    assert asyncio.run(run()).splitlines()[-1].startswith(b"421 4.3.0")
    assert [str(each["exception"]) for each in reported] == ["broken"]


async def leave_during_submission(submitter: MemorySubmitter) -> None:
    """Reset the connection while a mail is being submitted, then let the submission end."""
    submitter.begun, submitter.may_go_on = asyncio.Event(), asyncio.Event()
    async with running(submitter=submitter) as server:
        async with server.connection() as (_, writer):
            writer.write(login_line(server) + envelope() + b"DATA\r\n" + TEXT + b".\r\n")
            await submitter.begun.wait()
            reset_on_close = struct.pack("ii", 1, 0)
            connected = writer.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_on_close)
        while server.listener.session_count:
            await asyncio.sleep(0.01)
        submitter.may_go_on.set()


def test_a_submission_goes_on_when_the_client_has_gone() -> None:
    submitter = MemorySubmitter()
    asyncio.run(leave_during_submission(submitter))
    assert len(submitter.mails) == 1


@pytest.mark.parametrize(
    ("error", "reported"), [(AssertionError("broken"), ["broken"]), (TooFewReplicas("no"), [])]
)
def test_a_mistake_is_reported_though_the_client_has_gone(
    error: Exception, reported: list[str]
) -> None:
    problems: list[str] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, what: problems.append(str(what["exception"]))
        )
        await leave_during_submission(MemorySubmitter(error=error))

    asyncio.run(run())
    assert problems == reported


def test_the_log_of_the_library_names_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        talk(envelope())
    assert BOB not in caplog.text


def test_shutting_down_waits_for_submissions_and_ends_idle_sessions() -> None:
    async def run() -> tuple[bytes, bytes]:
        submitter = MemorySubmitter(begun=asyncio.Event(), may_go_on=asyncio.Event())
        async with running(submitter=submitter) as server:
            busy = asyncio.create_task(
                server.send(login_line(server), envelope() + b"DATA\r\n" + TEXT + b".\r\n")
            )
            async with server.connection() as (idle_reader, _):
                await idle_reader.readline()
                await submitter.begun.wait()
                closing = asyncio.create_task(server.listener.close())
                idle = await idle_reader.read()
            submitter.may_go_on.set()
            await closing
            return await busy, idle

    busy, idle = asyncio.run(run())
    assert idle.startswith(b"421 4.3.2")
    assert busy.splitlines()[-2:] == [
        b"250 2.0.0 ring-durable: on 3 of 3 machines, 4f2a",
        b"421 4.3.2 shutting down, try again later",
    ]


def test_connections_are_bounded() -> None:
    async def run() -> bytes:
        config = replace(PLAIN, connections_max=1)
        async with running(config) as server, server.connection() as (reader, _):
            await reader.readline()
            return await server.send()

    assert asyncio.run(run()).startswith(b"421 4.7.0 too many connections")


class Nobody:
    async def allowed(self, peer_host: str, peer_port: int, local_port: int) -> bool:
        assert peer_host == "127.0.0.1"
        assert peer_port != local_port != 0
        return False


def test_a_peer_that_is_not_the_owner_is_not_greeted() -> None:
    lines, _ = talk(b"EHLO me\r\n", login=False, peer_check=Nobody())
    assert lines == ["554 5.7.1 only the owner of this daemon may connect here"]


@pytest.mark.parametrize("logged_in", [False, True])
def test_silence_ends_the_session(logged_in: bool) -> None:
    seconds = {"idle_seconds" if logged_in else "login_seconds": 0.05}

    async def run() -> bytes:
        config = replace(PLAIN, **seconds)
        async with running(config) as server, server.connection() as (reader, writer):
            if logged_in:
                writer.write(login_line(server) + envelope() + b"DATA\r\nFrom")
            return await read_all(reader)

    assert asyncio.run(run()).endswith(b"421 4.4.2 nothing heard for too long, goodbye\r\n")


# TLS


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server and of clients that trust it."""
    path: Path = tmp_path_factory.mktemp("tls")
    return certificate(path)


TLS_ONLY = SmtpConfig(host_name="mail.test")


def test_starttls_comes_before_any_login(contexts) -> None:
    async def run() -> None:
        async with running(TLS_ONLY, starttls=contexts[0], end_point=b"hash") as server:

            def conversation(client: smtplib.SMTP) -> None:
                client.ehlo()
                assert "auth" not in client.esmtp_features
                assert client.docmd("AUTH", "PLAIN")[0] == 538
                assert client.docmd("STARTTLS", "x")[0] == 501
                client.starttls(context=contexts[1])
                assert client.docmd("MAIL", f"FROM:<{ALICE}>")[0] == 503, "greet again"
                client.ehlo()
                assert "starttls" not in client.esmtp_features
                assert client.esmtp_features["auth"].split()[0] == "SCRAM-SHA-256-PLUS"
                assert client.docmd("STARTTLS")[0] == 502
                scram = ScramClient(
                    ALICE, server.access.token, gs2="p=tls-server-end-point,,", binding=b"hash"
                )
                assert scram_login(client, scram, "SCRAM-SHA-256-PLUS")[0] == 235
                client.sendmail(ALICE, [BOB], TEXT * 5000)

            await server.client(conversation, login=False)
            assert server.submitter.mails[0].octets == TEXT * 5000

    asyncio.run(run())


def test_implicit_tls_needs_no_starttls(contexts) -> None:
    async def run() -> None:
        async with running(TLS_ONLY, implicit_tls=contexts[0]) as server:

            def talk_tls() -> None:
                with smtplib.SMTP_SSL("localhost", server.port, context=contexts[1]) as client:
                    client.login(ALICE, server.access.token)
                    assert "starttls" not in client.esmtp_features
                    client.sendmail(ALICE, [BOB], TEXT)

            await asyncio.to_thread(talk_tls)
            assert len(server.submitter.mails) == 1

    asyncio.run(run())


def test_plaintext_that_was_sent_ahead_of_tls_is_never_executed(contexts) -> None:
    async def run() -> None:
        async with running(TLS_ONLY, starttls=contexts[0]) as server:

            def inject() -> None:
                with smtplib.SMTP("localhost", server.port) as client:
                    client.ehlo()
                    client.send(b"STARTTLS\r\nEHLO injected\r\nNOOP\r\n")
                    assert client.getreply()[0] == 220
                    client.sock = contexts[1].wrap_socket(client.sock, server_hostname="localhost")
                    client.file = None
                    assert client.docmd("NOOP")[0] == 250
                    assert client.docmd("MAIL", f"FROM:<{ALICE}>")[0] == 503, "no EHLO was heard"

            await asyncio.to_thread(inject)

    asyncio.run(run())


def test_a_failed_handshake_ends_the_session_quietly(contexts) -> None:
    async def run() -> bytes:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: problems.append(what))
        async with running(TLS_ONLY, starttls=contexts[0]) as server:
            return await server.send(b"EHLO me\r\nSTARTTLS\r\n", b"this is no handshake\r\n" * 9)

    problems: list[dict[str, object]] = []
    received = asyncio.run(run())
    assert b"220 2.0.0 Ready to start TLS" in received
    assert problems == []
