"""One TOML file per node: what it says, what it may say, and how it complains.

Unknown keys are errors; every value has a default that works. `epost config` prints the file with
all defaults. Addresses are written `host:port`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from epost.apps.mail.mailbox import MAIL_SIZE_BYTES_MAX
from epost.foundation.errors import ConfigError
from epost.foundation.ids import ID_BYTES, Address

GIB = 1024**3
Security = Literal["plain", "starttls", "tls"]


class RingSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The port other daemons connect to, and what they are told."""

    listen: str = "0.0.0.0:4510"  # the ring port authenticates every peer
    advertise: tuple[str, ...] = ()
    bootstrap: tuple[str, ...] = ()
    founder: bool = False
    site: str = ""
    enrolment: tuple[str, ...] = ()
    """Where the authority enrols machines: asked when the user adds one to her account."""


class StorageSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What this machine gives to the ring (paper section 1: users contribute disk)."""

    contributed_bytes: Annotated[int, msgspec.Meta(ge=64 * 1024 * 1024)] = 20 * GIB
    repair_delay_seconds: Annotated[float, msgspec.Meta(ge=1, le=7 * 86400)] = 900.0
    repair_bytes_per_second: Annotated[int, msgspec.Meta(ge=16 * 1024)] = 8 * 1024 * 1024
    """Copies for the ring are fetched no faster; the user's own mail is not held back."""
    copies_on_battery: bool = False
    copies_when_metered: bool = False
    gc: Literal["never", "leases"] = "never"
    """Whether space is freed when nobody renewed the lease of a block; all nodes should agree."""
    scrub_days: Annotated[float, msgspec.Meta(ge=1, le=365)] = 30.0
    """The whole own disk is read again in this time, to find what rotted while copies are left."""


class MailSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The listeners for the user's own mail programs; loopback unless changed."""

    smtp: str = "127.0.0.1:2525"
    imap: str = "127.0.0.1:1143"
    pop3: str = ""
    """For programs that take mail away instead of reading it here; an empty address: nobody."""
    security: Security = "plain"
    lan_smtp: str = ""
    lan_imap: str = ""
    """For phones in the LAN or VPN, always with TLS; an empty address: nobody."""
    lan_name: str = ""
    """The name by which phones find this machine; empty: they use the address."""
    autoconfig: str = ""
    """Where Thunderbird's configuration file is served (HTTP); an empty address: nowhere."""
    allowed_users: tuple[str, ...] = ()
    """Local users whose programs are served besides the daemon's own (a daemon under its own uid
    serves its user this way; Linux)."""
    read_receipts: bool = False
    """Does this machine sign for the senders when a mail that came to it was read?"""
    message_size_max: Annotated[int, msgspec.Meta(ge=1024, le=MAIL_SIZE_BYTES_MAX)] = GIB
    """What SMTP takes (SIZE) and IMAP (APPENDLIMIT); larger mails of others still come in."""


class MetricsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Counters for Prometheus on loopback; an empty address turns them off."""

    listen: str = "127.0.0.1:0"


class LogSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is written to the log: one line per event, never plaintext, keys or names."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class ServiceSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the log of the device is published (docs/decisions: the tail of a log)."""

    tail_in_head: bool = True


class AuthoritySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Set on the machine that enrols members: the folder with the authority's keys."""

    directory: str = ""
    listen: str = "0.0.0.0:4511"  # serves holders of an invite only


class NodeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    ring: RingSection = RingSection()
    storage: StorageSection = StorageSection()
    mail: MailSection = MailSection()
    metrics: MetricsSection = MetricsSection()
    log: LogSection = LogSection()
    service: ServiceSection = ServiceSection()
    authority: AuthoritySection = AuthoritySection()


def load_config(path: Path) -> NodeConfig:
    """Read a node's configuration; a missing file means all defaults.

    Raises ConfigError naming the file, the key and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return NodeConfig()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: this is not a text in UTF-8") from error
    try:
        config = msgspec.convert(tomllib.loads(text), NodeConfig)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{path}: {error}. `epost config` prints every key with its default."
        ) from error
    for value in _addresses(config):
        parse_address(value, source=str(path))
    return config


def _addresses(config: NodeConfig) -> list[str]:
    listeners = [config.ring.listen, config.mail.smtp, config.mail.imap, config.authority.listen]
    optional = [a for a in _optional(config) if a]
    bootstrap = [text.partition("@")[2] for text in config.ring.bootstrap]
    return [*listeners, *optional, *config.ring.advertise, *config.ring.enrolment, *bootstrap]


def _optional(config: NodeConfig) -> tuple[str, ...]:
    mail = config.mail
    return (config.metrics.listen, mail.pop3, mail.lan_smtp, mail.lan_imap, mail.autoconfig)


def parse_address(text: str, *, source: str = "") -> Address:
    """Return the address written `host:port` (IPv6 hosts in brackets); raises ConfigError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        where = f"{source}: " if source else ""
        raise ConfigError(f"{where}{text!r} is not an address of the form host:port")
    return Address(host, int(port))


def format_address(address: Address) -> str:
    """Return an address as `parse_address` reads it."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


def parse_contact(text: str) -> tuple[bytes, Address]:
    """Return (node id, address) of a contact written `<40 hex digits>@host:port`."""
    name, _, address = text.partition("@")
    try:
        node_id = bytes.fromhex(name)
    except ValueError:
        node_id = b""
    if len(node_id) != ID_BYTES:
        raise ConfigError(f"[ring] bootstrap: {text!r} is not of the form <node id>@host:port")
    return node_id, parse_address(address, source="[ring] bootstrap")


def render_config(config: NodeConfig) -> str:
    """Return the configuration as the TOML that `load_config` reads."""
    lines: list[str] = []
    for section, values in msgspec.to_builtins(config).items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
        lines.append("")
    return "\n".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return str(value)
