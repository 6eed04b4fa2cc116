"""A mail that is read on any of its reader's machines: its sender sees it, if the reader wishes."""

from __future__ import annotations

from epost.node.settings import NodeConfigs
from epost.past.tickets import NodeCertificates
from epost.post.config import PostConfig
from epost.post.notification.records import DeliveryState
from epost.simulation.clock import run
from epost.simulation.defects import SOUND
from epost.simulation.office import Machine, Office, OfficeConfig
from tests.simulation.test_several_machines import SEEN, flag, node_of, second_machine, send


async def last_states(machine: Machine) -> list[tuple[DeliveryState, int]]:
    """Return the newest state of each mail that was sent, and by how many it is signed."""
    node = node_of(machine)
    assert node.post is not None
    certificates = NodeCertificates(lambda: node.issuers.trust)
    messages = await node.post.tracing(certificates, node.blocks).sent(lambda _: True)
    reached = [message.recipients[0].states[-1] for message in messages]
    return [(state.state, len(state.signatures)) for state in reached]


def test_a_mail_that_is_flagged_as_seen_on_the_other_machine_is_read() -> None:
    async def story() -> None:
        nodes = NodeConfigs(post=PostConfig(read_receipts=True))
        office = Office(23, OfficeConfig(machines=5, users=2, nodes=nodes), SOUND)
        await office.open()
        await office.world.run_for(30)
        alice, bob = office.users
        first = await send(alice, bob, "first")
        await send(alice, bob, "second")
        await office.world.run_for(5)
        other = await second_machine(office, bob, revoke=False)
        await office.world.run_for(40)
        await flag(other, first, SEEN)
        await office.world.run_for(30)
        assert await last_states(alice) == [(DeliveryState.READ, 1), (DeliveryState.DELIVERED, 1)]
        await office.close()

    run(story())
