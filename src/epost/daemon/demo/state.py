"""What a demo folder remembers, and DIR/demo.json, by which other programs drive a demo.

demo.json is stable: an object with `demo_pid` and `nodes`; each node has `name`, `node_id`, `pid`,
`data_dir`, `log_file`, `metrics_url`, and for users `user`, `username`, `password`, `smtp`, `imap`,
`pop3` (host, port, security: plain | starttls | tls, ca_file or null). docs/architecture.md has
the form.
"""

from __future__ import annotations

import json
import secrets
import socket
from pathlib import Path
from typing import Any

import msgspec

from epost.daemon.config import MailSection, Security, parse_address
from epost.daemon.files import write_private
from epost.daemon.folder import NodeFolder
from epost.daemon.mail_programs.loopback_tls import ca_file
from epost.foundation.errors import ConfigError

HOST = "127.0.0.1"
PORTS_FIRST, PORTS_LAST = 12_000, 32_000


class MailService(msgspec.Struct, frozen=True, kw_only=True):
    """Where a mail program connects."""

    host: str
    port: int
    security: str
    ca_file: str | None = None


class DemoNode(msgspec.Struct, kw_only=True):
    """One daemon of the demo: what stays the same on one folder."""

    name: str
    user: str | None = None
    password: str | None = None
    recovery_words: str | None = None
    ring_port: int
    smtp_port: int = 0
    imap_port: int = 0
    pop3_port: int = 0
    """0 on a folder that was made before there was POP3."""
    metrics_port: int
    node_id: str = ""


class DemoState(msgspec.Struct, kw_only=True):
    """The whole demo, kept in DIR/demo-secrets.json (0600: it holds passwords and words)."""

    domain: str
    enrolment_port: int
    nodes: list[DemoNode]
    security: Security = "plain"


def state_path(directory: Path) -> Path:
    """Return where a demo keeps its passwords, recovery words and ports."""
    return directory / "demo-secrets.json"


def load_state(directory: Path) -> DemoState | None:
    """Return the state of an earlier run on this folder, or None; raises ConfigError."""
    path = state_path(directory)
    try:
        return msgspec.json.decode(path.read_bytes(), type=DemoState)
    except FileNotFoundError:
        return None
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise ConfigError(
            f"{path}: damaged ({error}). Choose another --dir, or delete this folder."
        ) from error


def save_state(directory: Path, state: DemoState) -> None:
    """Write the state, readable by this user only."""
    write_private(state_path(directory), msgspec.json.format(msgspec.json.encode(state)))


def mail_services(directory: Path, state: DemoState, node: DemoNode) -> dict[str, MailService]:
    """Return how a mail program reaches a user's machine: `smtp`, `imap`, and `pop3` if it has it.

    As the machine's own settings say, which somebody may have changed; raises ConfigError.
    """
    folder = NodeFolder(node_folder(directory, node.name))
    settings = folder.read_config().mail if folder.is_enrolled else mail_section(state, node)
    trusted = None if settings.security == "plain" else str(ca_file(folder.path))
    listeners = {"smtp": settings.smtp, "imap": settings.imap, "pop3": settings.pop3}
    return {
        name: MailService(host=at.host, port=at.port, security=settings.security, ca_file=trusted)
        for name, listener in listeners.items()
        if listener and (at := parse_address(listener))
    }


def mail_section(state: DemoState, node: DemoNode) -> MailSection:
    """Return the settings with which a user's machine begins."""
    return MailSection(
        smtp=f"{HOST}:{node.smtp_port}",
        imap=f"{HOST}:{node.imap_port}",
        pop3=f"{HOST}:{node.pop3_port}" if node.pop3_port else "",
        security=state.security,
    )


def write_demo_json(
    directory: Path, state: DemoState, *, demo_pid: int, processes: dict[str, int]
) -> None:
    """Publish the demo to other programs; written whole, never in part."""
    nodes = [_public(directory, state, n, processes.get(n.name)) for n in state.nodes]
    document = {"demo_pid": demo_pid, "nodes": nodes}
    write_private(directory / "demo.json", json.dumps(document, indent=2).encode() + b"\n")


def _public(directory: Path, state: DemoState, node: DemoNode, pid: int | None) -> dict[str, Any]:
    data_dir = node_folder(directory, node.name)
    public: dict[str, Any] = {
        "name": node.name,
        "node_id": node.node_id,
        "pid": pid,
        "data_dir": str(data_dir),
        "log_file": str(log_file(data_dir)),
        "metrics_url": f"http://{HOST}:{node.metrics_port}/metrics",
    }
    if node.user is not None:
        public |= {
            "user": node.user,
            "username": node.user,
            "password": node.password,
            **msgspec.to_builtins(mail_services(directory, state, node)),
        }
    return public


def node_folder(directory: Path, name: str) -> Path:
    """Return the data folder of a demo node."""
    return (directory / "nodes" / name).resolve()


def log_file(data_dir: Path) -> Path:
    """Return where a daemon of the demo writes its log (outside what an erased disk loses)."""
    return data_dir.parent.parent / "logs" / f"{data_dir.name}.log"


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that are free now, below those that systems hand out themselves."""
    ports: list[int] = []
    start = PORTS_FIRST + secrets.randbelow(PORTS_LAST - PORTS_FIRST)
    for offset in range(PORTS_LAST - PORTS_FIRST):
        port = PORTS_FIRST + (start - PORTS_FIRST + offset) % (PORTS_LAST - PORTS_FIRST)
        if _is_free(port):
            ports.append(port)
        if len(ports) == count:
            return ports
    raise ConfigError(f"no {count} free ports between {PORTS_FIRST} and {PORTS_LAST}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
