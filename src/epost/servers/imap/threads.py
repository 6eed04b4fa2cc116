"""Threads of messages: ORDEREDSUBJECT and REFERENCES (RFC 5256 3).

Iterative throughout: a thread may be as deep as a folder is long. What is made for every message is
kept from the garbage collector (gc=False), which would stop the event loop for tenths of a second,
also when the work is done on another thread.
"""

from collections.abc import Iterator, Sequence

import msgspec

from epost.servers.imap.subjects import BaseSubject


class Threadable(msgspec.Struct, frozen=True, gc=False):
    """What threading looks at."""

    uid: int
    sent: int  # seconds
    subject: BaseSubject
    message_id: str  # "" if there is none
    references: tuple[str, ...] = ()  # oldest first


class Node(msgspec.Struct, eq=False, gc=False):
    """A message with those below it; a dummy (None) stands for one that is not here."""

    message: Threadable | None
    children: list["Node"] = []
    parent: "Node | None" = None  # while replies are linked: no circle is left behind
    order: tuple[int, int] = (0, 0)  # sent date and uid, of a dummy those of its first child


def ordered_by_subject(messages: Sequence[Threadable]) -> list[Node]:
    """Group by subject; below the first of a group all others are siblings (ORDEREDSUBJECT)."""
    groups: dict[str, list[Threadable]] = {}
    for message in sorted(messages, key=lambda message: (message.sent, message.uid)):
        groups.setdefault(message.subject.text, []).append(message)
    # Groups came into being by the date of their first messages: they are in order already.
    return [
        Node(first, [Node(message) for message in others]) for first, *others in groups.values()
    ]


def by_references(messages: Sequence[Threadable]) -> list[Node]:
    """Link replies to what they answer (REFERENCES)."""
    nodes = list(_linked(messages))
    roots = [node for node in nodes if node.parent is None]
    for node in nodes:
        node.parent = None
    roots = _without_dummies(roots)
    _sort(roots)
    roots = _gathered_by_subject(roots)
    _sort(roots)
    return roots


def spelled(roots: Sequence[Node], shown: dict[int, int]) -> Iterator[bytes]:
    """The threads as THREAD sends them, `shown` being the number of each uid."""
    for root in roots:
        yield b"("
        waiting: list[Node | None] = [root]
        heads: set[int] = set()  # the first messages of branches
        needs_space = False
        while waiting:
            node = waiting.pop()
            if node is None:
                yield b")"
                needs_space = False
                continue
            if id(node) in heads:
                yield b"("
                waiting.append(None)
                needs_space = False
            if node.message is not None:
                yield b"%s%d" % (b" " if needs_space else b"", shown[node.message.uid])
                needs_space = True
            if node.message is not None and len(node.children) > 1:
                yield b" "
            waiting += reversed(node.children)
            if len(node.children) > 1:
                heads.update(map(id, node.children))
        yield b")"


def _linked(messages: Sequence[Threadable]) -> Iterator[Node]:
    """Step 1: a node for every message and every id that some message names."""
    nodes: dict[str, Node] = {}
    unnamed: list[Node] = []
    for message in messages:
        node = nodes.get(message.message_id) if message.message_id else None
        if node is None or node.message is not None:  # no id, or one that was seen already
            node = Node(message)
            if message.message_id and message.message_id not in nodes:
                nodes[message.message_id] = node
            else:
                unnamed.append(node)
        node.message = message
        above: Node | None = None
        for reference in message.references:
            below = nodes.setdefault(reference, Node(None))
            if above is not None and below.parent is None:
                _put_below(above, below)
            above = below
        if above is not node.parent or above is None:
            _move_below(above, node)
    yield from nodes.values()
    yield from unnamed


def _move_below(above: Node | None, node: Node) -> None:
    """What a message itself says of its parent counts more than what others say."""
    if node.parent is not None:
        node.parent.children.remove(node)
        node.parent = None
    if above is not None:
        _put_below(above, node)


def _put_below(above: Node, below: Node) -> None:
    """Make one the parent of the other, unless that closes a circle."""
    # Only what has something below it can be above anything: so no long way up for a new mail.
    ancestor = above if below.children or above is below else None
    while ancestor is not None:
        if ancestor is below:
            return
        ancestor = ancestor.parent
    below.parent = above
    above.children.append(below)


def _without_dummies(roots: Sequence[Node]) -> list[Node]:
    """Step 3: dummies give way to their children, but for roots with more than one."""
    for node in _deepest_first(roots):
        kept: list[Node] = []
        for child in node.children:
            kept += [child] if child.message is not None else child.children
        node.children = kept
    found: list[Node] = []
    for root in roots:
        if root.message is not None or len(root.children) > 1:
            found.append(root)
        else:
            found += root.children
    return found


def _sort(roots: list[Node]) -> None:
    """Steps 4 and 6: by date, everywhere."""
    for node in _deepest_first(roots):
        node.children.sort(key=_order)
        if node.message is not None:
            node.order = (node.message.sent, node.message.uid)
        else:
            node.order = node.children[0].order
    roots.sort(key=_order)


def _order(node: Node) -> tuple[int, int]:
    return node.order


def _gathered_by_subject(roots: Sequence[Node]) -> list[Node]:
    """Step 5: threads of one subject become one."""
    table: dict[str, Node] = {}
    for root in roots:
        subject = _subject(root)
        if not subject.text:
            continue
        known = table.get(subject.text)
        is_better = known is not None and (
            (root.message is None and known.message is not None)
            or (
                known.message is not None
                and root.message is not None
                and _subject(known).is_reply
                and not subject.is_reply
            )
        )
        if known is None or is_better:
            table[subject.text] = root
    gathered: dict[int, Node] = {}
    for root in roots:
        known = table.get(_subject(root).text)
        if known is None or known is root:
            gathered[id(root)] = root
        else:
            _merge(known, root)
    return list(gathered.values())


def _merge(known: Node, root: Node) -> None:
    """Put a thread to another one of its subject."""
    if known.message is None:
        known.children += root.children if root.message is None else [root]
    elif root.message is not None and _subject(root).is_reply and not _subject(known).is_reply:
        known.children.append(root)
    else:  # siblings below a new dummy, which takes the place of the one that was first
        first = Node(known.message, known.children)
        known.message, known.children = None, [first, root]


def _subject(root: Node) -> BaseSubject:
    """The subject of a thread: of a dummy, that of its first child."""
    node = root
    while node.message is None:
        node = node.children[0]
    return node.message.subject


def _deepest_first(roots: Sequence[Node]) -> Iterator[Node]:
    """Every node, after all that are below it."""
    found: list[Node] = []
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += node.children
    return reversed(found)
