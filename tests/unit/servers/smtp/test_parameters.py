"""Parameters of MAIL and RCPT."""

import pytest

from epost.apps.mail.delivery.delivery_wishes import HOLD_SECONDS_MAX, NOTIFY_DEFAULT, Notify
from epost.servers.smtp.parameters import (
    BadParameters,
    MailOptions,
    RecipientOptions,
    format_utc,
    read_mail_options,
    read_recipient_options,
)

NOW_MS = 1_700_000_000_000  # 2023-11-14T22:13:20Z


def mail(text: str, *, is_tls: bool = True) -> MailOptions:
    return read_mail_options(text, size_max=1000, is_tls=is_tls, now_ms=NOW_MS)


def code_of(text: str, **options: bool) -> int:
    with pytest.raises(BadParameters) as refused:
        mail(text, **options)
    return refused.value.reply.code


def test_without_parameters_everything_is_ordinary() -> None:
    assert mail("") == mail(" SIZE=1000 BODY=8BITMIME AUTH=<> REQUIRETLS") == MailOptions()
    assert read_recipient_options("") == RecipientOptions(NOTIFY_DEFAULT, "")


def test_what_is_asked_for_is_read_in_any_case() -> None:
    options = mail(" smtputf8 ret=full envid=Ab+2B+3Dc Body=BinaryMIME")
    assert options == MailOptions(
        is_international=True, is_binary=True, returns_full=True, envelope_id="Ab+=c"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (" SIZE", 501),
        (" SIZE=x", 501),
        (" SIZE=-1", 501),
        (" SIZE=1001", 552),
        (" SIZE=999999999999999999999999", 501),
        (" BODY=9BIT", 501),
        (" BODY", 501),
        (" SMTPUTF8=yes", 501),
        (" REQUIRETLS=yes", 501),
        (" RET=ALL", 501),
        (" RET=HDRS RET=HDRS", 501),
        (" ENVID=", 501),
        (" ENVID", 501),
        (" ENVID=+3d", 501),
        (" ENVID=a+0D+0Ab", 501),
        (" ENVID=" + "x" * 101, 501),
        (" HOLDFOR=1 HOLDUNTIL=2023-11-15T00:00:00Z", 501),
        (" HOLDFOR=-1", 501),
        (f" HOLDFOR={HOLD_SECONDS_MAX + 1}", 501),
        (" HOLDFOR=1234567890", 501),
        (" HOLDUNTIL=tomorrow", 501),
        (" HOLDUNTIL=2023-13-15T00:00:00Z", 501),
        (" HOLDUNTIL=2033-11-15T00:00:00Z", 501),
        (" HOLDUNTIL=2023-11-15T00:00:00+01:00", 501),
        (" X=1", 555),
        (" NOTIFY=NEVER", 555),
        (" -x", 501),
        (" a=b=c", 555),
    ],
)
def test_what_cannot_be_granted_is_refused(text: str, code: int) -> None:
    assert code_of(text) == code


def test_a_mail_that_requires_tls_is_not_returned_whole() -> None:
    assert mail(" REQUIRETLS RET=FULL") == mail(" RET=HDRS")
    assert code_of(" REQUIRETLS RET=ALL") == 501


def test_requiretls_is_unknown_where_there_is_no_tls() -> None:
    assert code_of(" REQUIRETLS", is_tls=False) == 555


def test_a_mail_is_held_for_a_time_or_until_a_moment() -> None:
    assert mail(" HOLDFOR=90").not_before_ms == NOW_MS + 90_000
    assert mail(" HOLDFOR=90").hold == "for;90"
    until = mail(" HOLDUNTIL=2023-11-14T23:00:00Z")
    assert format_utc(until.not_before_ms) == "2023-11-14T23:00:00Z"
    assert until.hold == "until;2023-11-14T23:00:00Z"
    assert mail(" HOLDUNTIL=1999-01-01T00:00:00Z").not_before_ms < NOW_MS, "leaves at once"


@pytest.mark.parametrize(
    ("text", "notify"),
    [
        (" NOTIFY=NEVER", Notify.NEVER),
        (" notify=success", Notify.SUCCESS),
        (" NOTIFY=FAILURE,DELAY", NOTIFY_DEFAULT),
        (" NOTIFY=SUCCESS,FAILURE,DELAY", Notify.SUCCESS | NOTIFY_DEFAULT),
    ],
)
def test_a_recipient_may_ask_for_reports(text: str, notify: Notify) -> None:
    assert read_recipient_options(text).notify == notify


@pytest.mark.parametrize(
    ("text", "original"),
    [
        (" ORCPT=rfc822;Bob@Example.org", "rfc822;Bob@Example.org"),
        (" ORCPT=rfc822;a+2Bb@x", "rfc822;a+b@x"),
        (" ORCPT=utf-8;jürgen@x", "utf-8;j\\x{FC}rgen@x"),
        (" ORCPT=utf-8;j\\x{FC}rgen@x", "utf-8;j\\x{FC}rgen@x"),
    ],
)
def test_the_original_recipient_is_kept_as_reports_write_it(text: str, original: str) -> None:
    assert read_recipient_options(text).original == original


@pytest.mark.parametrize(
    "text",
    [
        " NOTIFY",
        " NOTIFY=NEVER,SUCCESS",
        " NOTIFY=,",
        " NOTIFY=LATER",
        " ORCPT=bob",
        " ORCPT=;bob",
        " ORCPT=rfc822;",
        " ORCPT=rfc822;jürgen",
        " ORCPT=rfc822;a+0Ab",
        " ORCPT=rfc822;" + "x" * 500,
        " RET=FULL",
    ],
)
def test_a_recipients_parameters_are_checked(text: str) -> None:
    with pytest.raises(BadParameters):
        read_recipient_options(text)
