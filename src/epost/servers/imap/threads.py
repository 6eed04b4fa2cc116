"""Threads of messages: ORDEREDSUBJECT and REFERENCES (RFC 5256 3).

By columns, and iterative throughout: a folder may have a million messages, and a thread may be as
deep as a folder is long. A message is its place among those that are threaded; greater numbers are
dummies, which stand for messages that are not here.
"""

from array import array
from collections.abc import Iterator, Sequence

from epost.servers.imap.threadables import Threadables

NOBODY = -1
"""In place of the number of the one above, or of the next one."""
_CLOSE, _OPEN = -2, -3
"""Brackets, among numbers that wait to be spelled."""


class Threads:
    """Which message stands below which; those below one stand by the date of sending."""

    def __init__(self, messages: Threadables, above: "array[int]") -> None:
        """`above` tells for each message the one above it, for the first ones NOBODY."""
        self._above = above
        self._by_date = messages.by_date()
        self._first_below = array("i", (NOBODY,)) * (max(above, default=0) + len(above) + 1)
        self._next_beside = array("i", (NOBODY,)) * len(above)
        for place in reversed(self._by_date):
            if (parent := above[place]) != NOBODY:
                self._next_beside[place] = self._first_below[parent]
                self._first_below[parent] = place

    def roots(self) -> Iterator[int]:
        """The first of each thread, in order; a dummy has the date of the first one below it."""
        for place in self._by_date:
            parent = self._above[place]
            if parent == NOBODY:
                yield place
            elif parent >= len(self._above) and self._first_below[parent] == place:
                yield parent

    def below(self, number: int) -> list[int]:
        """Those right below one, in order."""
        found: list[int] = []
        place = self._first_below[number]
        while place != NOBODY:
            found.append(place)
            place = self._next_beside[place]
        return found


def ordered_by_subject(messages: Threadables) -> Threads:
    """Group by subject; below the first of a group all others are siblings (ORDEREDSUBJECT)."""
    above = array("i", (NOBODY,)) * len(messages)
    firsts: dict[int, int] = {}
    for place in messages.by_date():
        first = firsts.setdefault(messages.subjects[place], place)
        if first != place:
            above[place] = first
    return Threads(messages, above)


def by_references(messages: Threadables) -> Threads:
    """Link replies to what they answer (REFERENCES)."""
    forest = _Forest(len(messages))
    _link(messages, forest)
    forest.drop_dummies()
    _gather_by_subject(messages, forest)
    return Threads(messages, forest.messages_above())


def spelled(threads: Threads, numbers: Sequence[int]) -> bytes:
    """The threads as THREAD sends them, `numbers` being what the messages are called."""
    line = bytearray()
    for root in threads.roots():
        waiting, is_after_number = [root], False
        line += b"("
        while waiting:
            node = waiting.pop()
            if node < 0:
                line += b"(" if node == _OPEN else b")"
                is_after_number = False
                continue
            is_message = node < len(numbers)
            if is_message:
                line += b" %d" % numbers[node] if is_after_number else b"%d" % numbers[node]
                is_after_number = True
            below = threads.below(node)
            if len(below) > 1:
                line += b" " * is_message
                for child in reversed(below):
                    waiting += (_CLOSE, child, _OPEN)
            else:
                waiting += below
        line += b")"
    return bytes(line)


class _Forest:
    """Messages and dummies while replies are linked: who is above whom."""

    def __init__(self, messages: int) -> None:
        self._messages = messages
        self._above = array("i", (NOBODY,)) * messages
        self._count_below = array("I", (0,)) * messages

    def __len__(self) -> int:
        return len(self._above)

    def is_dummy(self, number: int) -> bool:
        return number >= self._messages

    def above(self, number: int) -> int:
        return self._above[number]

    def add_dummy(self) -> int:
        """Return its number."""
        self._above.append(NOBODY)
        self._count_below.append(0)
        return len(self._above) - 1

    def put_below(self, above: int, below: int) -> None:
        """Make one the parent of another that has none, unless that closes a circle."""
        # Only what has something below it can be above anything: so no long way up for a new mail.
        ancestor = above if self._count_below[below] or above == below else NOBODY
        while ancestor != NOBODY:
            if ancestor == below:
                return
            ancestor = self._above[ancestor]
        self._above[below] = above
        self._count_below[above] += 1

    def take_out(self, number: int) -> None:
        """Leave one, and all below it, below nobody."""
        above = self._above[number]
        if above != NOBODY:
            self._above[number] = NOBODY
            self._count_below[above] -= 1

    def drop_dummies(self) -> None:
        """Step 3: dummies give way to those below them, but for roots with more than one."""
        self._count_below = array("I", (0,)) * len(self._above)
        for place in range(self._messages):
            above = self._above[place] = self._visibly_above(place)
            if above != NOBODY:
                self._count_below[above] += 1
        for place in range(self._messages):
            above = self._above[place]
            if above != NOBODY and self.is_dummy(above) and self._count_below[above] == 1:
                self._above[place] = NOBODY

    def messages_above(self) -> "array[int]":
        """What is above each message: another one, NOBODY, or a dummy that is a root."""
        return array("i", map(self._visibly_above, range(self._messages)))

    def _visibly_above(self, number: int) -> int:
        """The next message on the way up, or the dummy at its end."""
        passed: list[int] = []
        above = self._above[number]
        while above != NOBODY and self.is_dummy(above) and self._above[above] != NOBODY:
            passed.append(above)
            above = self._above[above]
        for dummy in passed:  # nobody goes the same way twice
            self._above[dummy] = above
        return above


def _link(messages: Threadables, forest: _Forest) -> None:
    """Step 1: what messages say of whom they answer, and of whom those answered."""
    numbers: dict[int, int] = {}  # of ids; of messages with the same id the first one has it
    for place, name in enumerate(messages.ids):
        if name:
            numbers.setdefault(name, place)
    for place in range(len(messages)):
        above = NOBODY
        for reference in messages.references(place):
            below = numbers.get(reference, NOBODY)
            if below == NOBODY:
                below = numbers[reference] = forest.add_dummy()
            if above != NOBODY and forest.above(below) == NOBODY:
                forest.put_below(above, below)
            above = below
        if above != forest.above(place):  # what it says itself counts more than what others say
            forest.take_out(place)
            if above != NOBODY:
                forest.put_below(above, place)


def _gather_by_subject(messages: Threadables, forest: _Forest) -> None:
    """Step 5: threads of one subject become one."""
    roots, firsts = _roots(messages, forest)
    table: dict[int, int] = {}  # subjects: which thread takes in the others
    for root, first in zip(roots, firsts, strict=True):
        known = table.get(messages.subjects[first])
        if messages.subjects[first] and (
            known is None or _is_better(messages, forest, root, than=known)
        ):
            table[messages.subjects[first]] = root
    for root, first in zip(roots, firsts, strict=True):
        known = table.get(messages.subjects[first])
        if known is not None and known != root and forest.above(root) == NOBODY:
            table[messages.subjects[first]] = _merged(messages, forest, known, root)


def _roots(messages: Threadables, forest: _Forest) -> tuple["array[int]", "array[int]"]:
    """The first of each thread in order, and the first message in it, whose subject it has."""
    roots, firsts = array("I"), array("I")
    is_found = bytearray(len(forest))
    for place in messages.by_date():
        above = forest.above(place)
        if above == NOBODY or (forest.is_dummy(above) and not is_found[above]):
            root = place if above == NOBODY else above
            is_found[root] = True
            roots.append(root)
            firsts.append(place)
    return roots, firsts


def _is_better(messages: Threadables, forest: _Forest, root: int, *, than: int) -> bool:
    """A dummy is better than a message, and one that is no reply better than a reply."""
    if forest.is_dummy(root) or forest.is_dummy(than):
        return forest.is_dummy(root) and not forest.is_dummy(than)
    return bool(messages.replies[than] and not messages.replies[root])


def _merged(messages: Threadables, forest: _Forest, known: int, root: int) -> int:
    """Put a thread to another one of its subject; return which one takes in the next."""
    is_answer = not forest.is_dummy(known) and (
        messages.replies[root] and not messages.replies[known]
    )
    if forest.is_dummy(known) or is_answer:
        forest.put_below(known, root)
        return known
    both = forest.add_dummy()
    forest.put_below(both, known)
    forest.put_below(both, root)
    return both
