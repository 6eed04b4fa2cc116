"""A node whose process can be stopped and continued, as a laptop's lid or SIGSTOP does.

While it sleeps it takes no turn and sends nothing; its machine is off the network. What happens in
its stories meanwhile stays in the outbox, as it would have happened right after waking.
"""

from __future__ import annotations

from epost.node.assembly import Node
from epost.node.driver import Driver


class SleepingDriver(Driver):
    """A driver that takes no turns while it is asleep."""

    is_asleep = False

    def fall_asleep(self) -> None:
        """Take no turn until `wake_up`."""
        self.is_asleep = True

    def wake_up(self) -> None:
        """Go on with what was due meanwhile, all of it late."""
        self.is_asleep = False
        self.wake()

    def wake(self) -> None:
        """Have the outbox performed, unless the process is stopped."""
        if not self.is_asleep:
            super().wake()

    def _take_turns(self) -> None:
        if self.is_asleep:
            self._turns_are_due = False
        else:
            super()._take_turns()

    def _perform(self, *, is_awaited: bool = False) -> None:
        if not self.is_asleep:
            super()._perform(is_awaited=is_awaited)


class SleepyNode(Node):
    """A whole node that can be put to sleep."""

    driver: SleepingDriver
    driver_type = SleepingDriver


def sleepy(node: type[Node]) -> type[Node]:
    """Return a kind of node that can be put to sleep and is otherwise as the given one."""
    return SleepyNode if node is Node else type(f"Sleepy{node.__name__}", (SleepyNode, node), {})
