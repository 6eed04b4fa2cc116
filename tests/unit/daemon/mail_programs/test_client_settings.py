"""Where mail programs connect, in the forms that they read."""

import json
import plistlib
from xml.etree import ElementTree as Xml

import pytest

from epost.daemon.config import MailSection
from epost.daemon.mail_programs.client_settings import (
    as_autoconfig,
    as_code_for_phones,
    as_profile,
    as_srv_records,
    settings_for_phones,
    settings_on_loopback,
)
from epost.foundation.errors import ConfigError

ALICE = "alice@example.org"
LAN = MailSection(lan_smtp="192.168.1.5:4465", lan_imap="192.168.1.5:4993")
NAMED = MailSection(
    lan_smtp="192.168.1.5:4465", lan_imap="192.168.1.5:4993", lan_name="laptop.home.arpa"
)


def test_autoconfig_names_every_service_and_no_account() -> None:
    section = MailSection(pop3="127.0.0.1:1110", security="starttls")
    document = as_autoconfig(settings_on_loopback(section, ALICE))
    assert b"alice" not in document
    provider = Xml.fromstring(document).find("emailProvider")
    assert provider is not None
    assert provider.get("id") == provider.findtext("domain") == "example.org"
    servers = [
        (s.tag, s.get("type"), s.findtext("port"), s.findtext("socketType"))
        for s in provider
        if s.get("type")
    ]
    assert servers == [
        ("incomingServer", "imap", "1143", "STARTTLS"),
        ("incomingServer", "pop3", "1110", "STARTTLS"),
        ("outgoingServer", "smtp", "2525", "STARTTLS"),
    ]
    assert {s.findtext("username") for s in provider if s.get("type")} == {"%EMAILADDRESS%"}


def test_a_profile_carries_the_account_and_the_authority_and_replaces_itself() -> None:
    settings = settings_for_phones(NAMED, ALICE)
    profile = plistlib.loads(as_profile(settings, b"der"))
    assert profile["PayloadType"] == "Configuration"
    mail, trust = profile["PayloadContent"]
    assert mail["EmailAddress"] == mail["IncomingMailServerUsername"] == ALICE
    assert (mail["IncomingMailServerHostName"], mail["IncomingMailServerPortNumber"]) == (
        "laptop.home.arpa",
        4993,
    )
    assert mail["OutgoingMailServerUseSSL"]
    assert trust["PayloadType"] == "com.apple.security.root"
    assert trust["PayloadContent"] == b"der"
    assert as_profile(settings, b"der") == as_profile(settings, b"der")
    assert len(plistlib.loads(as_profile(settings, None))["PayloadContent"]) == 1


def test_srv_records_name_what_is_offered_and_deny_the_rest() -> None:
    records = as_srv_records(settings_for_phones(NAMED, ALICE)).splitlines()
    assert "_imaps._tcp.example.org. 3600 IN SRV 0 1 4993 laptop.home.arpa." in records
    assert "_submissions._tcp.example.org. 3600 IN SRV 0 1 4465 laptop.home.arpa." in records
    assert "_pop3._tcp.example.org. 3600 IN SRV 0 0 0 ." in records
    plain = as_srv_records(settings_on_loopback(MailSection(), ALICE))
    assert "_submission._tcp.example.org. 3600 IN SRV 0 1 2525 localhost." in plain
    with pytest.raises(ConfigError, match="lan_name"):
        as_srv_records(settings_for_phones(LAN, ALICE))


def test_the_code_for_phones_follows_thunderbirds_format() -> None:
    settings = settings_for_phones(LAN, ALICE)
    assert json.loads(as_code_for_phones(settings)) == [
        1,
        [1, 1],
        [0, "192.168.1.5", 4993, 3, 1, ALICE],
        [[[0, "192.168.1.5", 4465, 3, 1, ALICE], [ALICE, "alice"]]],
    ]
    with_password = json.loads(as_code_for_phones(settings, "SECRET"))
    assert with_password[2][6:] == ["", "SECRET"]
    assert with_password[3][0][0][6:] == ["SECRET"]


def test_without_ports_for_phones_it_is_said_what_to_set() -> None:
    with pytest.raises(ConfigError, match="lan_imap"):
        settings_for_phones(MailSection(), ALICE)
