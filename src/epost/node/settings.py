"""What a node is made from: who it is, whom it trusts, and the world it runs in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from epost.apps.mail.index import MailIndex
from epost.apps.mail.ports import Offload, ReadFile, read_nothing
from epost.crypto.certificates import OrganisationTrust
from epost.crypto.signing import SigningKey
from epost.foundation.ids import BlockKind, NodeHandle
from epost.foundation.ports import Clock, Entropy, Observer, Sealing, Transport, Vault
from epost.foundation.spool import IN_MEMORY, Spool
from epost.node.thrift import Mains, PowerAndLink, ThriftConfig
from epost.past.config import PastConfig
from epost.pastry.config import PastryConfig
from epost.post.accounts.devices import DeviceSecrets, SecretStore
from epost.post.config import PostConfig
from epost.rings.config import RingsConfig
from epost.scribe.config import ScribeConfig


@dataclass(frozen=True)
class NodePorts:
    """The world: real in the daemon, simulated in the simulator, the same node on top."""

    clock: Clock
    entropy: Entropy
    observer: Observer
    sealing: Sealing
    vault: Vault
    transport: Transport
    power: PowerAndLink = field(default_factory=Mains)


@dataclass(frozen=True)
class NodeConfigs:
    """The settings of every package."""

    pastry: PastryConfig = field(default_factory=PastryConfig)
    rings: RingsConfig = field(default_factory=RingsConfig)
    past: PastConfig = field(default_factory=PastConfig)
    thrift: ThriftConfig = field(default_factory=ThriftConfig)
    scribe: ScribeConfig = field(default_factory=ScribeConfig)
    post: PostConfig = field(default_factory=PostConfig)


@dataclass(frozen=True)
class NodeMembership:
    """Who this node is in its organisation; `authority_blocks` are those the enrolment gave."""

    me: NodeHandle
    node_key: SigningKey = field(repr=False)
    node_certificate: bytes = field(repr=False)
    trust: OrganisationTrust
    authority_blocks: Sequence[bytes] = field(repr=False)
    bootstrap: Sequence[NodeHandle] = ()


@dataclass(frozen=True)
class UserOfNode:
    """The account that this node serves; `first_blocks` are those its enrolment made."""

    account_certificate: bytes = field(repr=False)
    secrets: DeviceSecrets = field(repr=False)
    secret_store: SecretStore
    first_blocks: Sequence[tuple[BlockKind, bytes]] = field(repr=False)
    open_index: Callable[[], MailIndex]
    offload: Offload
    read_file: ReadFile = read_nothing
    spool: Spool = IN_MEMORY
