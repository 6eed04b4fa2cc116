from epost.foundation.ids import Address, NodeHandle
from epost.pastry.config import ABSENT_MAX
from epost.pastry.contacts import Contacts
from tests.support.conversation import peer, spot

CAP = 30.0


def test_bootstraps_and_stored_members_are_asked_at_once() -> None:
    contacts = Contacts(1.0)
    contacts.add_bootstraps([peer(0.1)], 100.0)
    contacts.add_stored([peer(0.2)], 100.0)
    assert list(contacts.take_due(100.0, CAP)) == [peer(0.1), peer(0.2)]
    assert list(contacts.take_due(100.0, CAP)) == []


def test_the_pauses_double_up_to_the_limit() -> None:
    contacts = Contacts(1.0)
    contacts.add_stored([peer(0.0)], 0.0)  # its id ends in 0: its pauses are not shortened
    now, pauses = 0.0, []
    for _ in range(9):
        contacts.take_due(now, CAP)
        due_at = contacts.next_due_at(CAP)
        assert due_at is not None
        pauses.append(due_at - now)
        now = due_at
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]


def test_nodes_lost_together_are_not_asked_together_for_long() -> None:
    contacts = Contacts(1.0)
    one = peer(0.1)
    other = one.__class__(one.ring, one.node_id[:-1] + b"\xff", one.addresses)
    for node in (one, other):
        contacts.add_silent(node, 0.0)
    assert list(contacts.take_due(0.9, CAP)) == [other]
    assert list(contacts.take_due(1.0, CAP)) == [one]


def test_hurrying_asks_everybody_at_once() -> None:
    contacts = Contacts(1.0)
    contacts.add_silent(peer(0.1), 0.0)
    contacts.hurry(0.5)
    assert list(contacts.take_due(0.5, CAP)) == [peer(0.1)]


def test_only_former_members_count_as_absent() -> None:
    contacts = Contacts(1.0)
    contacts.add_bootstraps([peer(0.1)], 0.0)
    contacts.add_silent(peer(0.3), 5.0)
    contacts.add_stored([peer(0.2)], 6.0)
    assert [(c.node, c.absent_since) for c in contacts.absent()] == [
        (peer(0.2), 6.0),
        (peer(0.3), 5.0),
    ]


def test_a_bootstrap_that_has_moved_since_is_asked_at_both_addresses() -> None:
    contacts = Contacts(1.0)
    stored = peer(0.1)
    moved = NodeHandle(stored.ring, stored.node_id, (Address("192.0.2.7", 4510),))
    contacts.add_stored([stored], 3.0)
    contacts.add_bootstraps([moved], 4.0)
    both = NodeHandle(stored.ring, stored.node_id, (*moved.addresses, *stored.addresses))
    assert list(contacts.take_due(4.0, CAP)) == [both]


def test_a_bootstrap_that_is_known_already_keeps_its_absence() -> None:
    contacts = Contacts(1.0)
    contacts.add_stored([peer(0.1)], 3.0)
    contacts.add_bootstraps([peer(0.1)], 4.0)
    assert [c.absent_since for c in contacts.absent()] == [3.0]


def test_members_absent_for_too_long_expire_but_bootstraps_stay() -> None:
    contacts = Contacts(1.0)
    contacts.add_bootstraps([peer(0.1)], 0.0)
    contacts.add_silent(peer(0.2), 0.0)
    contacts.add_silent(peer(0.3), 50.0)
    contacts.expire(before=10.0)
    assert spot(0.1) in contacts
    assert spot(0.2) not in contacts
    assert spot(0.3) in contacts


def test_the_longest_absent_goes_beyond_the_limit_never_a_bootstrap() -> None:
    contacts = Contacts(1.0)
    contacts.add_bootstraps([peer(0.0)], 0.0)
    shares = [number / (2 * ABSENT_MAX) for number in range(1, ABSENT_MAX + 1)]
    for share in shares:
        contacts.add_silent(peer(share), 0.0)
    assert len(contacts) == ABSENT_MAX
    assert spot(0.0) in contacts
    assert spot(shares[0]) not in contacts
    assert spot(shares[1]) in contacts


def test_beyond_the_limit_of_bootstraps_the_first_goes() -> None:
    contacts = Contacts(1.0)
    contacts.add_bootstraps([peer(number / 100) for number in range(ABSENT_MAX + 1)], 0.0)
    assert len(contacts) == ABSENT_MAX
    assert spot(0.0) not in contacts


def test_a_contact_may_move_and_is_forgotten_once_it_answers() -> None:
    contacts = Contacts(1.0)
    contacts.add_stored([peer(0.1)], 0.0)
    contacts.refresh(peer(0.1, port=5000))
    contacts.refresh(peer(0.2))
    assert list(contacts.take_due(0.0, CAP)) == [peer(0.1, port=5000)]
    assert contacts.remove(spot(0.1))
    assert not contacts.remove(spot(0.1))
    assert contacts.next_due_at(CAP) is None


def test_a_member_keeps_near_contacts_and_two_others_named_ones_first() -> None:
    contacts = Contacts(1.0)
    contacts.add_stored([peer(share / 10) for share in (1, 2, 3, 4)], 0.0)
    contacts.add_bootstraps([peer(0.5)], 0.0)
    near = peer(0.4).node_id
    contacts.keep_near(lambda node_id: node_id == near)
    kept = {node.node_id for node in contacts.take_due(100.0, CAP)}
    assert kept == {near, peer(0.5).node_id, peer(0.1).node_id}


def test_contacts_that_spoke_are_told_once() -> None:
    contacts = Contacts(1.0)
    contacts.add_silent(peer(0.1), 0.0)
    contacts.refresh(peer(0.1, port=5000))
    contacts.refresh(peer(0.2))
    assert list(contacts.take_heard()) == [peer(0.1, port=5000)]
    assert list(contacts.take_heard()) == []
