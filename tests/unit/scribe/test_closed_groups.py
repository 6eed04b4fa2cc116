"""Chartered groups in whole rings: who gets in, who is heard, and what survives a root."""

import pytest

from epost.crypto.signing import SigningKey
from epost.foundation.codec import encode
from epost.foundation.errors import NotPermitted
from epost.foundation.ids import Id, closeness
from epost.scribe.charter import (
    Charter,
    chartered_group,
    sign_charter,
    sign_permit,
    sign_publication,
)
from epost.scribe.messages import Attach, Disowned, Refresh, Terms
from epost.scribe.observed import (
    EstateTaken,
    GroupPacketRefused,
    JoinRefused,
    PublicationRefused,
    TermsChanged,
)
from tests.support.conversation import peer
from tests.support.groups import Groups
from tests.support.ring import Host

FOUNDER, EDITOR = SigningKey(b"f" * 32), SigningKey(b"e" * 32)
GROUP = chartered_group(FOUNDER.public, b"board")
STRANGER = peer(0.123)


def charter(*, version: int = 1, epoch: int = 0, is_closed: bool = True) -> bytes:
    admitters = (EDITOR.public,) if is_closed else ()
    return sign_charter(
        FOUNDER, Charter(1, FOUNDER.public, b"board", version, epoch, (EDITOR.public,), admitters)
    )


def permit(host: Host, epoch: int = 0) -> bytes:
    return sign_permit(EDITOR, GROUP, host.id, epoch)


def create(groups: Groups, host: Host, signed: bytes) -> None:
    groups.scribe(host).create(GROUP, signed)
    groups.ring.perform(host)
    groups.ring.run(3.0)


def join(groups: Groups, host: Host, credential: bytes) -> None:
    groups.scribe(host).join(GROUP, permit=credential)
    groups.ring.perform(host)


def root_of(groups: Groups) -> Host:
    return min(groups.ring.live, key=lambda host: closeness(GROUP, host.id))


def board(size: int = 30, members: int = 12, seed: int = 1) -> tuple[Groups, list[Host]]:
    """Return a ring with a closed group, created by somebody who is no member."""
    groups = Groups(size, seed=seed)
    create(groups, groups.hosts[0], charter())
    chosen = groups.ring.random.sample(groups.hosts[1:], members)
    for host in chosen:
        join(groups, host, permit(host))
    groups.ring.run(10.0)
    return groups, sorted(chosen, key=lambda host: host.id)


def publish(groups: Groups, number: int, body: bytes, by: Host | None = None) -> list[Host]:
    signed = sign_publication(EDITOR, GROUP, number, body)
    groups.multicast(GROUP, signed, by or groups.ring.live[0])
    return groups.readers_of(body)


def test_permitted_members_hear_publishers() -> None:
    groups, members = board()
    assert publish(groups, 1, b"one") == members
    assert publish(groups, 2, b"two") == members


def test_what_no_publisher_signed_is_stopped_at_the_root() -> None:
    groups, _ = board()
    groups.multicast(GROUP, b"spam", groups.hosts[3])
    assert groups.readers_of(b"spam") == []
    (refused,) = groups.ring.observed.of(PublicationRefused)
    assert refused.at == root_of(groups).id


def test_what_was_said_is_not_repeated_even_under_another_message_id() -> None:
    groups, members = board()
    assert publish(groups, 1, b"once") == members
    assert publish(groups, 1, b"once") == members, "nobody heard it twice"


def test_nobody_joins_without_a_permit() -> None:
    groups, members = board()
    intruder = next(h for h in groups.hosts if h not in members and h is not root_of(groups))
    join(groups, intruder, b"")
    groups.ring.run(40.0)
    assert groups.ring.observed.of(JoinRefused)
    assert groups.scribe(intruder).groups == []
    assert publish(groups, 1, b"members only") == members


def test_who_knows_the_charter_is_told_at_once_that_the_permit_is_wrong() -> None:
    groups, members = board()
    with pytest.raises(NotPermitted):
        groups.scribe(members[0]).join(GROUP, permit=permit(members[1]))


def test_a_new_epoch_puts_those_out_whose_permits_were_not_renewed() -> None:
    groups, members = board()
    create(groups, groups.hosts[0], charter(version=2, epoch=1))
    kept = members[::2]
    for host in kept:
        join(groups, host, permit(host, epoch=1))
    groups.ring.run(40.0)
    assert publish(groups, 1, b"the rest is out") == kept


def test_an_older_charter_never_comes_back() -> None:
    groups, members = board()
    create(groups, groups.hosts[0], charter(version=5, is_closed=False))
    groups.ring.observed.events.clear()
    other = groups.hosts[7]
    body = encode(Terms(GROUP, charter(version=1), ()))
    groups.scribe(root_of(groups)).deliver(GROUP, other.handle, body, groups.ring.now)
    groups.ring.perform(root_of(groups))
    groups.ring.run(5.0)
    assert {event.version for event in groups.ring.observed.of(TermsChanged)} <= {5}
    assert publish(groups, 1, b"still five") == members


@pytest.mark.no_cover  # tracing takes twice the time, and other tests run the same lines
def test_after_the_root_died_its_heir_knows_children_terms_and_what_was_said() -> None:
    groups, members = board(seed=3)
    said = sign_publication(EDITOR, GROUP, 1, b"before")
    groups.multicast(GROUP, said, groups.ring.live[0])
    groups.ring.run(30.0)
    old_root = root_of(groups)
    groups.ring.crash(old_root)
    groups.ring.run_until(lambda: bool(groups.ring.observed.of(EstateTaken)), 60.0)
    heir = groups.ring.observed.of(EstateTaken)[-1]
    assert heir.at == root_of(groups).id
    survivors = [host for host in members if host is not old_root]
    assert publish(groups, 2, b"after") == survivors
    groups.multicast(GROUP, said, groups.ring.live[0])
    assert groups.readers_of(b"before") == survivors, "once each"
    groups.multicast(GROUP, b"spam", groups.ring.live[0])
    assert groups.readers_of(b"spam") == []


@pytest.mark.no_cover
def test_members_bring_the_charter_to_a_root_that_never_heard_of_it() -> None:
    groups, members = board(seed=4)
    nearest = sorted(groups.ring.live, key=lambda host: closeness(GROUP, host.id))
    for host in nearest[:6]:
        groups.ring.crash(host)
    groups.ring.run(150.0)
    groups.multicast(GROUP, b"spam", groups.ring.live[0])
    assert groups.readers_of(b"spam") == []
    survivors = [host for host in members if host.is_up]
    assert publish(groups, 9, b"still ours") == survivors


def test_a_forgotten_child_must_show_its_permit_again() -> None:
    groups, _ = board()
    root = root_of(groups)
    assert groups.hear(root, STRANGER, Refresh((GROUP,))) == [
        (STRANGER.node_id, Disowned((GROUP,)))
    ]


def test_terms_of_distant_groups_and_bad_terms_are_refused() -> None:
    groups, _ = board()
    far = max(groups.ring.live, key=lambda host: closeness(GROUP, host.id))
    groups.scribe(far).leave(GROUP)
    groups.hear(far, STRANGER, Terms(Id(b"z" * 20), charter(), ()))
    groups.hear(root_of(groups), STRANGER, Terms(GROUP, b"garbage", ()))
    assert len(groups.ring.observed.of(GroupPacketRefused)) == 2


def test_who_asks_for_the_terms_is_told() -> None:
    groups, _ = board()
    (told,) = groups.hear(root_of(groups), STRANGER, Terms(GROUP, b"", ()))
    assert told[0] == STRANGER.node_id
    assert isinstance(told[1], Terms)
    assert told[1].charter == charter()


def test_a_sibling_takes_only_whom_the_charter_lets_in() -> None:
    groups, _ = board()
    said = groups.hear(root_of(groups), STRANGER, Attach(GROUP, b""))
    assert (STRANGER.node_id, Disowned((GROUP,))) in said
