"""Where a mail program finds this daemon, in the forms that programs and people read.

Autoconfig is Thunderbird's XML, which other programs read as well; a profile (.mobileconfig) is
Apple's; SRV records are those of RFC 6186 and RFC 8314; the code for phones is Thunderbird's.
"""

from __future__ import annotations

import ipaddress
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives import serialization

from epost.daemon.config import MailSection, Security, parse_address
from epost.daemon.mail_programs.server_certificates import certificate_in
from epost.foundation.errors import ConfigError

Protocol = Literal["imap", "pop3", "smtp"]
PROFILE_NAMES = uuid.UUID("6b7f2a0e-5f0d-4f5e-9c34-6a3d3a0f7c11")
"""Under which the ids of profiles are made: installed again, a profile replaces itself."""
SRV_TTL_SECONDS = 3600
_SOCKET_TYPES = {"plain": "plain", "starttls": "STARTTLS", "tls": "SSL"}
_QR_SECURITY = {"plain": 0, "starttls": 2, "tls": 3}
_QR_PASSWORD = 1  # a password as it is; TLS keeps it


@dataclass(frozen=True, slots=True)
class Service:
    """One port for mail programs."""

    protocol: Protocol
    host: str
    port: int
    security: Security


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """All that a mail program must be told, but for the password."""

    account: str
    services: tuple[Service, ...]

    @property
    def domain(self) -> str:
        """The organisation's."""
        return self.account.rpartition("@")[2]

    def of(self, protocol: Protocol) -> Service:
        """Return the service of a protocol; there are IMAP and SMTP always."""
        return next(service for service in self.services if service.protocol == protocol)


def settings_on_loopback(section: MailSection, account: str) -> ClientSettings:
    """Return what programs on this machine use."""
    ports: tuple[tuple[Protocol, str], ...] = (
        ("imap", section.imap),
        ("pop3", section.pop3),
        ("smtp", section.smtp),
    )
    return ClientSettings(account, _services(ports, section.security))


def settings_for_phones(section: MailSection, account: str) -> ClientSettings:
    """Return what programs elsewhere in the LAN or VPN use; raises ConfigError if none may."""
    if not (section.lan_imap and section.lan_smtp):
        raise ConfigError(
            "phones are not served yet: set lan_imap and lan_smtp in [mail], for example to "
            '"192.168.1.5:4993" and "192.168.1.5:4465", and start the daemon again'
        )
    ports: tuple[tuple[Protocol, str], ...] = (
        ("imap", section.lan_imap),
        ("smtp", section.lan_smtp),
    )
    services = _services(ports, "tls")
    if section.lan_name:
        services = tuple(replace(service, host=section.lan_name) for service in services)
    return ClientSettings(account, services)


def _services(ports: tuple[tuple[Protocol, str], ...], security: Security) -> tuple[Service, ...]:
    found = ((protocol, parse_address(address)) for protocol, address in ports if address)
    return tuple(Service(name, at.host, at.port, security) for name, at in found)


def as_autoconfig(settings: ClientSettings) -> bytes:
    """Return Thunderbird's config-v1.1.xml; it names no account, so it may be served to anybody."""
    from xml.etree import ElementTree as Xml  # few daemons serve such a file

    root = Xml.Element("clientConfig", version="1.1")
    provider = Xml.SubElement(root, "emailProvider", id=settings.domain)
    Xml.SubElement(provider, "domain").text = settings.domain
    Xml.SubElement(provider, "displayName").text = f"ePOST of {settings.domain}"
    Xml.SubElement(provider, "displayShortName").text = "ePOST"
    for service in settings.services:
        kind = "outgoingServer" if service.protocol == "smtp" else "incomingServer"
        server = Xml.SubElement(provider, kind, type=service.protocol)
        Xml.SubElement(server, "hostname").text = service.host
        Xml.SubElement(server, "port").text = str(service.port)
        Xml.SubElement(server, "socketType").text = _SOCKET_TYPES[service.security]
        Xml.SubElement(server, "username").text = "%EMAILADDRESS%"
        Xml.SubElement(server, "authentication").text = "password-cleartext"
    Xml.indent(root)
    document: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def as_profile(settings: ClientSettings, authority: bytes | None) -> bytes:
    """Return an Apple configuration profile, unsigned; `authority` is the certificate in DER."""
    import plistlib  # only the command line needs it

    imap, smtp = settings.of("imap"), settings.of("smtp")
    name = f"{settings.account} {imap.host}"
    mail = {
        "PayloadType": "com.apple.mail.managed",
        "EmailAccountType": "EmailTypeIMAP",
        "EmailAccountDescription": f"ePOST {settings.domain}",
        "EmailAddress": settings.account,
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": imap.host,
        "IncomingMailServerPortNumber": imap.port,
        "IncomingMailServerUseSSL": imap.security != "plain",
        "IncomingMailServerUsername": settings.account,
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
        "OutgoingMailServerHostName": smtp.host,
        "OutgoingMailServerPortNumber": smtp.port,
        "OutgoingMailServerUseSSL": smtp.security != "plain",
        "OutgoingMailServerUsername": settings.account,
        "OutgoingPasswordSameAsIncomingPassword": True,
    }
    payloads = [_payload(mail, f"mail {name}", "Mail")]
    if authority is not None:
        trust = {"PayloadType": "com.apple.security.root", "PayloadContent": authority}
        payloads.append(_payload(trust, f"authority {name}", "Authority of this installation"))
    whole = {"PayloadType": "Configuration", "PayloadContent": payloads}
    return plistlib.dumps(_payload(whole, f"profile {name}", f"ePOST {settings.account}"))


def _payload(content: Mapping[str, object], name: str, shown: str) -> dict[str, object]:
    id_ = str(uuid.uuid5(PROFILE_NAMES, name)).upper()
    return {
        **content,
        "PayloadVersion": 1,
        "PayloadIdentifier": f"epost.{id_}",
        "PayloadUUID": id_,
        "PayloadDisplayName": shown,
    }


def as_srv_records(settings: ClientSettings) -> str:
    """Return lines for the zone of the domain; raises ConfigError for hosts that are addresses."""
    known = ("_imaps", "_imap", "_pop3s", "_pop3", "_submissions", "_submission")
    offered = {_srv_name(service): service for service in settings.services}
    lines = []
    for name in known:
        service = offered.get(name)
        # A target of "." says that there is no such service (RFC 2782).
        rest = f"0 1 {service.port} {_host_name(service.host)}." if service else "0 0 0 ."
        lines.append(f"{name}._tcp.{settings.domain}. {SRV_TTL_SECONDS} IN SRV {rest}\n")
    return "".join(lines)


def _srv_name(service: Service) -> str:
    name = "submission" if service.protocol == "smtp" else service.protocol
    return f"_{name}s" if service.security == "tls" else f"_{name}"


def _host_name(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".")
    if address.is_loopback:
        return "localhost"
    raise ConfigError(f"SRV records need names: give {host} one, and say it as [mail] lan_name")


def as_code_for_phones(settings: ClientSettings, password: str = "") -> str:
    """Return the text of the code that Thunderbird and K-9 on Android scan (its version 1)."""
    imap, smtp = settings.of("imap"), settings.of("smtp")
    secret = [password] if password else []
    incoming = [0, imap.host, imap.port, _QR_SECURITY[imap.security], _QR_PASSWORD]
    outgoing = [0, smtp.host, smtp.port, _QR_SECURITY[smtp.security], _QR_PASSWORD]
    identity = [settings.account, settings.account.partition("@")[0]]
    code = [
        1,
        [1, 1],
        [*incoming, settings.account, *(["", *secret] if secret else [])],
        [[[*outgoing, settings.account, *secret], identity]],
    ]
    return json.dumps(code, separators=(",", ":"))


def authority_in(path: Path) -> bytes:
    """Return the certificate of a PEM file in DER, as profiles carry it."""
    return certificate_in(path).public_bytes(serialization.Encoding.DER)
