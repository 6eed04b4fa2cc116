"""What the configuration file says of a node, in the terms of the node."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from epost.daemon.config import NodeConfig
from epost.daemon.node_settings import advertised, bootstrap, node_configs
from epost.foundation.errors import ConfigError
from epost.foundation.ids import Address

RING = b"r" * 20
DEFAULT = NodeConfig()


def test_what_is_written_in_the_file_reaches_the_layers() -> None:
    storage = replace(DEFAULT.storage, repair_delay_seconds=7.0, gc="leases", scrub_days=2)
    configs = node_configs(replace(DEFAULT, storage=storage))
    assert configs.past.repair_delay_seconds == 7.0
    assert configs.past.frees_expired
    assert configs.past.scrub_seconds == 2 * 86_400.0


def test_a_machine_is_reached_where_it_listens_unless_it_advertises_another_address() -> None:
    listening = replace(DEFAULT, ring=replace(DEFAULT.ring, listen="192.0.2.1:4510"))
    assert advertised(listening) == (Address("192.0.2.1", 4510),)
    elsewhere = replace(listening, ring=replace(listening.ring, advertise=("192.0.2.7:1",)))
    assert advertised(elsewhere) == (Address("192.0.2.7", 1),)


def test_a_machine_that_listens_everywhere_must_say_where_it_is_reached() -> None:
    everywhere = replace(DEFAULT, ring=replace(DEFAULT.ring, listen="0.0.0.0:4510"))
    with pytest.raises(ConfigError, match="advertise"):
        advertised(everywhere)


def test_the_members_to_join_through_are_named_with_their_addresses() -> None:
    assert bootstrap(DEFAULT, RING) == ()
    named = replace(DEFAULT, ring=replace(DEFAULT.ring, bootstrap=("ab" * 20 + "@192.0.2.3:4510",)))
    (member,) = bootstrap(named, RING)
    assert (member.ring, member.node_id) == (RING, b"\xab" * 20)
    assert member.addresses == (Address("192.0.2.3", 4510),)
