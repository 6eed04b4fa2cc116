"""Anycast: a question to any one member, depth first through the tree (JSAC 2002; reference 6.1).

The question enters the tree at the first node on its way, so that a member near the origin is asked
first. It carries whom it has visited and who waits, both bounded, and ends with an answer to the
origin's call, or with a refusal when nobody is left. If a node dies while it has the question the
origin hears nothing and asks again (`Calls.expect`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from epost.foundation.effects import Caller
from epost.foundation.ids import Id, NodeHandle
from epost.foundation.wire import Application, RefusalCode
from epost.scribe.config import ANYCAST_VISITS_MAX
from epost.scribe.forest import Forest
from epost.scribe.messages import Anycast
from epost.scribe.observed import AnycastEnded
from epost.scribe.surroundings import Surroundings


class AnycastTaker(Protocol):
    """Answers questions to the groups that this node is a member of."""

    def on_anycast(self, group: Id, origin: NodeHandle, body: bytes, now: float) -> bytes | None:
        """Return the answer, or None to let another member do it.

        `origin` is what it says itself, and not proven.
        """


class Search:
    """The part of one node in the anycasts that come by."""

    def __init__(self, around: Surroundings, forest: Forest) -> None:
        self._around = around
        self._forest = forest
        self._takers: list[AnycastTaker] = []

    def register(self, taker: AnycastTaker) -> None:
        """Add somebody who may answer."""
        self._takers.append(taker)

    def visit(self, question: Anycast, now: float) -> None:
        """Answer a question, or send it on to whoever is next."""
        group, me = Id(question.group), self._around.me.node_id
        if me not in question.visited:
            answer = self._answer(group, question, now)
            visited = (*question.visited, me)
            if answer is not None:
                self._around.outbox.reply(_caller(question), answer)
                self._end(group, visited, is_taken=True)
                return
            waiting = (*self._next_nodes(group), *question.waiting)
            question = msgspec.structs.replace(question, visited=visited, waiting=waiting)
        self._pass_on(group, question)

    def _answer(self, group: Id, question: Anycast, now: float) -> bytes | None:
        tree = self._forest.get(group)
        if tree is None or not tree.is_member:
            return None
        for taker in self._takers:
            answer = taker.on_anycast(group, question.origin, question.body, now)
            if answer is not None:
                return answer
        return None

    def _next_nodes(self, group: Id) -> Sequence[NodeHandle]:
        """Return the children in an order of its own for each question, then the parent."""
        tree = self._forest.get(group)
        if tree is None:
            return ()
        children = list(tree.offspring())
        start = self._around.draw(len(children)) if children else 0
        parent = () if tree.parent is None else (tree.parent,)
        return (*children[start:], *children[:start], *parent)

    def _pass_on(self, group: Id, question: Anycast) -> None:
        left = {n.node_id: n for n in question.waiting if n.node_id not in question.visited}
        waiting = tuple(left.values())[:ANYCAST_VISITS_MAX]
        if not waiting or len(question.visited) >= ANYCAST_VISITS_MAX:
            text = "nobody in the group takes it"
            self._around.outbox.refuse(_caller(question), RefusalCode.UNKNOWN, text)
            self._end(group, question.visited, is_taken=False)
            return
        following = msgspec.structs.replace(question, waiting=waiting[1:])
        self._around.tell(waiting[0], following)

    def _end(self, group: Id, visited: Sequence[bytes], *, is_taken: bool) -> None:
        me = self._around.me.id
        self._around.observer.record(AnycastEnded(me, group, len(visited), is_taken))


def _caller(question: Anycast) -> Caller:
    return Caller(question.origin, Application.SCRIBE, int.from_bytes(question.call, "big"))
