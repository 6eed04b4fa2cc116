"""What the configuration file says of a node, in the terms of the node."""

from __future__ import annotations

from epost.daemon.config import NodeConfig, parse_address, parse_contact
from epost.daemon.tls.listening import is_wildcard
from epost.foundation.durations import DAY_SECONDS
from epost.foundation.errors import ConfigError
from epost.foundation.ids import Address, NodeHandle
from epost.node.settings import NodeConfigs
from epost.node.thrift import ThriftConfig
from epost.past.config import PastConfig
from epost.pastry.config import PastryConfig
from epost.post.config import PostConfig


def node_configs(config: NodeConfig) -> NodeConfigs:
    """Return the settings of the layers; what the file does not name keeps its default."""
    storage = config.storage
    return NodeConfigs(
        pastry=PastryConfig(is_first=config.ring.founder),
        past=PastConfig(
            repair_delay_seconds=storage.repair_delay_seconds,
            repair_bytes_per_second=storage.repair_bytes_per_second,
            frees_expired=storage.gc == "leases",
            scrub_seconds=storage.scrub_days * DAY_SECONDS,
        ),
        thrift=ThriftConfig(storage.copies_on_battery, storage.copies_when_metered),
        post=PostConfig(
            tail_in_head=config.service.tail_in_head,
            read_receipts=config.mail.read_receipts,
        ),
    )


def bootstrap(config: NodeConfig, ring: bytes) -> tuple[NodeHandle, ...]:
    """Return the members to join through; raises ConfigError."""
    contacts = [parse_contact(text) for text in config.ring.bootstrap]
    return tuple(NodeHandle(ring, name, (at,)) for name, at in contacts)


def advertised(config: NodeConfig) -> tuple[Address, ...]:
    """Return where others reach this machine; raises ConfigError if nothing says where."""
    addresses = tuple(parse_address(a) for a in config.ring.advertise or (config.ring.listen,))
    if any(map(is_wildcard, addresses)):
        raise ConfigError("[ring] advertise: name the address where others reach this machine")
    return addresses
