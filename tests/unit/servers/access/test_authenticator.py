"""Logging in with app passwords."""

import asyncio
import base64

import pytest

from epost.servers.access import (
    Accepted,
    AccountPasswords,
    Challenge,
    Channel,
    Malformed,
    Rejected,
    Scope,
    TryLater,
    issue_app_password,
)
from tests.support.access import (
    ALICE,
    MAIL_CHANNEL,
    SECRET,
    Access,
    ScramClient,
    counting_entropy,
)

TLS_CHANNEL = Channel("10.0.0.9", Scope.MAIL, True, tls_server_end_point=b"certificate hash")
SCRAM_ONLY = Channel("10.0.0.9", Scope.MAIL, passwords_allowed=False)


def check(access: Access, login: str, password: str, channel: Channel = MAIL_CHANNEL) -> object:
    return asyncio.run(access.authenticator.check_password(login, password, channel))


def exchange(access: Access, mechanism: str, *responses: bytes | None, channel=MAIL_CHANNEL):
    async def run() -> list[object]:
        steps = access.authenticator.begin(mechanism, channel)
        assert steps is not None
        return [await steps.step(response) for response in responses]

    return asyncio.run(run())


def scram(access: Access, client: ScramClient, *, mechanism="SCRAM-SHA-256", channel=MAIL_CHANNEL):
    """Run a whole exchange; return its last outcome, and the server's messages."""

    async def run() -> tuple[object, list[bytes]]:
        steps = access.authenticator.begin(mechanism, channel)
        assert steps is not None
        first = await steps.step(client.first())
        if not isinstance(first, Challenge):
            return first, []
        final = await steps.step(client.final(first.data))
        if not isinstance(final, Challenge):
            return final, [first.data]
        return await steps.step(b""), [first.data, final.data]

    return asyncio.run(run())


def test_a_token_is_26_base32_characters_and_never_kept() -> None:
    issued = issue_app_password(
        entropy=counting_entropy(),
        server_secret=SECRET,
        account=ALICE,
        application="mutt",
        scope=Scope.MAIL,
    )
    assert len(issued.token) == 26
    assert base64.b32decode(issued.token + "=" * 6)
    assert issued.token not in repr(issued)
    assert repr(issued.password.record.stored_key) not in repr(issued)


def test_each_application_logs_in_with_its_own_password() -> None:
    access = Access()
    assert check(access, ALICE, access.token) == Accepted(ALICE, "thunderbird")
    assert check(access, ALICE.upper(), access.phone_token) == Accepted(ALICE, "phone")


@pytest.mark.parametrize(
    ("login", "password"),
    [
        (ALICE, "wrong"),
        ("mallory@example.org", "wrong"),
        (ALICE, "x" * 2000),
        ("x" * 2000, "wrong"),
        (ALICE, "\udcff"),
        ("\udcff", "wrong"),
        ("", ""),
    ],
)
def test_whatever_is_wrong_the_answer_is_the_same(login: str, password: str) -> None:
    assert check(Access(), login, password) == Rejected()


def test_a_password_for_another_scope_is_wrong() -> None:
    access = Access()
    assert check(access, ALICE, access.calendar_token) == Rejected()


def test_a_channel_that_allows_no_passwords_offers_and_accepts_none() -> None:
    access = Access()
    assert access.authenticator.mechanisms(SCRAM_ONLY) == ("SCRAM-SHA-256",)
    assert access.authenticator.begin("PLAIN", SCRAM_ONLY) is None
    assert check(access, ALICE, access.token, SCRAM_ONLY) == Rejected()


def test_plain_carries_name_and_password_in_one_response() -> None:
    access = Access()
    response = f"\0{ALICE}\0{access.token}".encode()
    assert exchange(access, "plain", None, response) == [
        Challenge(b""),
        Accepted(ALICE, "thunderbird"),
    ]
    assert exchange(access, "PLAIN", f"{ALICE}".encode() + response)[-1] == Accepted(
        ALICE, "thunderbird"
    )


@pytest.mark.parametrize("response", [b"", b"a\0b", b"bob\0alice\0x", b"\0\0x", b"\0\xff\0x"])
def test_plain_refuses_what_is_malformed_or_for_somebody_else(response: bytes) -> None:
    assert exchange(Access(), "PLAIN", response) == [Malformed()]


def test_login_asks_for_name_and_password() -> None:
    access = Access()
    outcomes = exchange(access, "LOGIN", None, ALICE.encode(), access.token.encode())
    assert outcomes == [
        Challenge(b"Username:"),
        Challenge(b"Password:"),
        Accepted(ALICE, "thunderbird"),
    ]
    assert exchange(access, "LOGIN", b"\xff") == [Malformed()]


def test_scram_proves_the_password_of_any_application_and_the_server_proves_itself() -> None:
    access = Access()
    for token, application in ((access.token, "thunderbird"), (access.phone_token, "phone")):
        client = ScramClient(ALICE, token)
        outcome, messages = scram(access, client, channel=SCRAM_ONLY)
        assert outcome == Accepted(ALICE, application)
        assert client.trusts(messages[1])


def test_scram_starts_with_an_empty_challenge_for_clients_that_wait_for_one() -> None:
    assert exchange(Access(), "SCRAM-SHA-256", None) == [Challenge(b"")]


def test_an_unknown_account_looks_like_a_known_one_until_the_end() -> None:
    access = Access()
    known, unknown = ScramClient(ALICE, "wrong"), ScramClient("mallory@example.org", "wrong")
    assert scram(access, known)[0] == scram(access, unknown)[0] == Rejected()
    assert len(known.salt) == len(unknown.salt) == 16
    again = ScramClient("mallory@example.org", "wrong")
    scram(access, again)
    assert again.salt == unknown.salt != known.salt


def test_an_account_keeps_the_salt_it_had_before_it_had_a_password() -> None:
    access = Access()
    passwords = access.book.pop(ALICE)
    before, after = ScramClient(ALICE, "wrong"), ScramClient(ALICE, access.token)
    scram(access, before)
    access.book[ALICE] = passwords
    scram(access, after)
    assert before.salt == after.salt


def test_scram_plus_binds_the_login_to_the_certificate() -> None:
    access = Access()
    offered = access.authenticator.mechanisms(TLS_CHANNEL)
    assert offered[:2] == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
    for binding, expected in (
        (b"certificate hash", Accepted(ALICE, "thunderbird")),
        (b"certificate of a man in the middle", Rejected()),
    ):
        client = ScramClient(ALICE, access.token, gs2="p=tls-server-end-point,,", binding=binding)
        outcome, _ = scram(access, client, mechanism="SCRAM-SHA-256-PLUS", channel=TLS_CHANNEL)
        assert outcome == expected


@pytest.mark.parametrize(
    ("gs2", "mechanism", "channel"),
    [
        ("p=tls-unique,,", "SCRAM-SHA-256-PLUS", TLS_CHANNEL),
        ("n,,", "SCRAM-SHA-256-PLUS", TLS_CHANNEL),
        ("y,,", "SCRAM-SHA-256", TLS_CHANNEL),  # -PLUS was offered: somebody removed it
        ("p=tls-server-end-point,,", "SCRAM-SHA-256", SCRAM_ONLY),
        ("n,a=bob,", "SCRAM-SHA-256", SCRAM_ONLY),
    ],
)
def test_scram_refuses_a_binding_that_does_not_fit_the_channel(gs2, mechanism, channel) -> None:
    access = Access()
    client = ScramClient(ALICE, access.token, gs2=gs2)
    assert scram(access, client, mechanism=mechanism, channel=channel) == (Malformed(), [])


def test_scram_accepts_a_client_that_could_bind_where_nothing_is_offered() -> None:
    access = Access()
    client = ScramClient(ALICE, access.token, gs2="y,,")
    assert scram(access, client, channel=SCRAM_ONLY)[0] == Accepted(ALICE, "thunderbird")
    named = ScramClient(ALICE, access.token, gs2=f"n,a={ALICE},")
    assert scram(access, named, channel=SCRAM_ONLY)[0] == Accepted(ALICE, "thunderbird")


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"\xff",
        b"n,,n=alice",
        b"n,,r=nonce,n=alice",
        b"n,,m=ext,n=alice,r=nonce",
        b"n,,n=al=ice,r=nonce",
        b"n,,n=alice,r=",
        b"n,,n=alice,r=nonce" + b"x" * 5000,
        b"n,,n=" + b"a" * 400 + b",r=nonce",
    ],
)
def test_scram_refuses_malformed_first_messages(first: bytes) -> None:
    assert exchange(Access(), "SCRAM-SHA-256", first) == [Malformed()]


def test_scram_refuses_malformed_final_messages() -> None:
    for final in (b"", b"c=biws,r=other,p=AAAA", b"c=biws,r=x,p=A", b"c=biws,r=x"):
        outcomes = exchange(Access(), "SCRAM-SHA-256", b"n,,n=alice,r=nonce", final)
        assert outcomes[-1] == Malformed()


def test_scram_refuses_a_replayed_final_message() -> None:
    access = Access()
    client = ScramClient(ALICE, access.token)
    first = exchange(access, "SCRAM-SHA-256", client.first())[0]
    assert isinstance(first, Challenge)
    recorded = client.final(first.data)
    assert exchange(access, "SCRAM-SHA-256", client.first(), recorded)[-1] == Rejected()


def test_scram_wants_nothing_but_silence_after_its_last_message() -> None:
    access = Access()

    async def run() -> object:
        client = ScramClient(ALICE, access.token)
        steps = access.authenticator.begin("SCRAM-SHA-256", MAIL_CHANNEL)
        assert steps is not None
        first = await steps.step(client.first())
        assert isinstance(first, Challenge)
        await steps.step(client.final(first.data))
        return await steps.step(b"more")

    assert asyncio.run(run()) == Malformed()


def test_failures_slow_down_every_way_to_log_in() -> None:
    access = Access()
    for _ in range(3):
        check(access, ALICE, "wrong")
    assert access.time.slept == [1.0, 2.0]
    assert scram(access, ScramClient(ALICE, access.token))[0] == Accepted(ALICE, "thunderbird")
    assert access.time.slept == [1.0, 2.0, 4.0]
    check(access, ALICE, access.token)
    assert access.time.slept == [1.0, 2.0, 4.0], "a success forgets the failures"


def test_too_many_attempts_at_once_are_told_to_come_back() -> None:
    access = Access()
    for _ in range(9):
        access.throttle.failed(MAIL_CHANNEL.source, ALICE)

    async def attempts() -> list[object]:
        access.time.stop()
        waiting = [
            asyncio.create_task(
                access.authenticator.check_password(ALICE, access.token, MAIL_CHANNEL)
            )
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        late = await access.authenticator.check_password(ALICE, access.token, MAIL_CHANNEL)
        client = ScramClient(ALICE, access.token)
        steps = access.authenticator.begin("SCRAM-SHA-256", MAIL_CHANNEL)
        assert steps is not None
        first = await steps.step(client.first())
        assert isinstance(first, Challenge)
        scram_late = await steps.step(client.final(first.data))
        access.time.go_on.set()
        return [late, scram_late, *(await asyncio.gather(*waiting))]

    outcomes = asyncio.run(attempts())
    assert outcomes[:2] == [TryLater(), TryLater()]
    assert Accepted(ALICE, "thunderbird") in outcomes, "never a lock-out"


def test_the_passwords_of_an_account_are_few_and_share_a_salt() -> None:
    one, other = (
        issue_app_password(
            entropy=counting_entropy(),
            server_secret=secret,
            account=ALICE,
            application="x",
            scope=Scope.MAIL,
        ).password
        for secret in (b"1" * 32, b"2" * 32)
    )
    with pytest.raises(ValueError, match="share their salt"):
        AccountPasswords(ALICE, (one, other))
    with pytest.raises(ValueError, match="more than"):
        AccountPasswords(ALICE, (one,) * 65)
