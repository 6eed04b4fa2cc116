from epost.scribe import tree as tree_module
from epost.scribe.tree import Tree
from tests.support.conversation import peer, spot


def test_nobody_above_us_becomes_a_child() -> None:
    tree = Tree(spot(0.5))
    tree.become_child(peer(0.1), (spot(0.1), spot(0.2)))
    assert not tree.may_adopt(spot(0.1))
    assert not tree.may_adopt(spot(0.2))
    assert tree.may_adopt(spot(0.3))


def test_the_children_are_bounded_but_may_stay(monkeypatch) -> None:
    monkeypatch.setattr(tree_module, "CHILDREN_MAX", 1)
    tree = Tree(spot(0.5))
    tree.adopt(peer(0.1), 10.0)
    assert tree.may_adopt(spot(0.1))
    assert not tree.may_adopt(spot(0.2))


def test_children_that_stop_asking_are_forgotten() -> None:
    tree = Tree(spot(0.5))
    tree.adopt(peer(0.2), 10.0)
    tree.adopt(peer(0.1), 20.0)
    assert list(tree.offspring()) == [peer(0.1), peer(0.2)]
    assert tree.silent(5.0) == []
    assert tree.silent(15.0) == [peer(0.2).node_id]
    assert sorted(tree.silent(25.0)) == [peer(0.1).node_id, peer(0.2).node_id]


def test_a_node_seeks_unless_it_is_the_root_or_has_a_parent() -> None:
    tree = Tree(spot(0.5), is_member=True)
    assert tree.is_seeking
    tree.become_root()
    assert not tree.is_seeking
    tree.become_child(peer(0.1), (spot(0.1),))
    assert not tree.is_seeking
    assert tree.has_parent(spot(0.1))
    assert list(tree.relatives()) == [peer(0.1)]
    tree.become_orphan()
    assert tree.is_seeking
    assert not tree.has_parent(spot(0.1))
