"""Deliberate defects, to show that the checkers find what they are for (`--break`).

Each is a twin of a port, or a subclass of a part, that does one thing wrong; the product itself has
no switches for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from epost.foundation.errors import ConfigError
from epost.foundation.ports import Observer
from epost.node.assembly import Node
from epost.simulation.broken.nodes import (
    AssumingNode,
    CopyingNode,
    CredulousNode,
    DeafNode,
    ForgetfulNode,
    GreedyNode,
    HastyNode,
    HeedlessNode,
    LazyNode,
    NegligentNode,
    SilentNode,
)
from epost.simulation.broken.vaults import (
    ForgetfulVault,
    GarblingVault,
    ObstinateVault,
    PinlessVault,
    RollingBackVault,
)
from epost.simulation.invariants.violations import Invariant
from epost.simulation.vault import DiskConfig, SimulatedDisk, SimulatedVault

Family = Literal["mail", "office-day", "services", "storage"]
"""Scenarios that differ in size or length only are of one."""


@dataclass(frozen=True)
class Defect:
    """One way to be wrong, and the invariant that must notice."""

    name: str
    breaks: Invariant | None
    text: str
    shows_in: tuple[Family, ...] = ()
    """In scenarios of these kinds some seed of some minutes shows it; in none: hours."""
    vault: Callable[[SimulatedDisk, Observer], SimulatedVault] = SimulatedVault
    disk: DiskConfig = field(default_factory=DiskConfig)
    node: type[Node] = Node


SOUND = Defect("", None, "nothing is broken on purpose")

DEFECTS = (
    Defect(
        "drop-replica",
        Invariant.BLOCKS_STAY,
        "replicas acknowledge content blocks and do not store them",
        ("mail", "storage"),
        vault=ForgetfulVault,
    ),
    Defect(
        "accept-old-version",
        Invariant.NEWEST_WINS,
        "replicas acknowledge new versions of public-key blocks and keep the old ones",
        ("mail", "services", "storage"),
        vault=ObstinateVault,
    ),
    Defect(
        "skip-disk-sync",
        Invariant.DURABLE_FIRST,
        "disks say that a commit is durable before it is",
        ("mail", "storage"),
        disk=DiskConfig(skips_sync=True, write_back_seconds=60.0),
    ),
    Defect(
        "forge-receipt",
        Invariant.NOTICES_WAIT,
        "delegates drop a notice for a receipt that nobody signed",
        ("mail", "services"),
        node=CredulousNode,
    ),
    Defect(
        "garble-blocks",
        Invariant.ONLY_AUTHENTIC,
        "replicas keep content blocks that are not what they accepted",
        ("storage",),
        vault=GarblingVault,
    ),
    Defect(
        "roll-back",
        Invariant.NEVER_BACK,
        "replicas write a former version of a public-key block over a newer one",
        ("storage",),
        vault=RollingBackVault,
    ),
    Defect(
        "no-repair",
        Invariant.SETS_COMPLETE,
        "replicas never look for what they lack",
        ("storage",),
        node=LazyNode,
    ),
    Defect(
        "silent-delegates",
        Invariant.DELEGATES_DELIVER,
        "delegates keep notices and never tell their recipients",
        ("services",),
        node=SilentNode,
    ),
    Defect(
        "hear-no-flags",
        Invariant.DEVICES_AGREE,
        "a machine does not take over the flags that another one of the account sets",
        ("services",),
        node=DeafNode,
    ),
    Defect(
        "deliver-early",
        Invariant.ROOTS_DELIVER,
        "a node one hop before the root of a key takes itself for the root",
        ("mail", "storage"),
        node=HastyNode,
    ),
    Defect(
        "copy-at-once",
        Invariant.COPYING_CAPPED,
        "a node asks at once for all blocks that it lacks",
        ("office-day",),
        node=GreedyNode,
    ),
    Defect(
        "assume-much",
        Invariant.NO_BUGS,
        "a replica takes for granted that nobody puts a block twice",
        ("mail", "services", "storage"),
        node=AssumingNode,
    ),
    Defect(
        "forget-versions",
        Invariant.NEWEST_WINS,
        "a node that starts knows no more which versions it has seen",
        ("services",),
        vault=PinlessVault,
    ),
    Defect(
        "sign-unconfirmed",
        Invariant.MAILS_ARRIVE,
        "a device signs its log's next head without a look at the ring's",
        ("services",),
        node=HeedlessNode,
    ),
    Defect(
        "lose-arrivals",
        Invariant.MAILS_ARRIVE,
        "a device signs for mails that it does not log",
        ("mail",),
        node=ForgetfulNode,
    ),
    Defect(
        "offer-once",
        Invariant.MAILS_ARRIVE,
        "a sender never offers a notice again that delegates keep, or that nobody took",
        (),
        node=NegligentNode,
    ),
    Defect(
        "move-by-copy",
        Invariant.MAILS_ARRIVE,
        "a mail that is moved stays where it was as well",
        ("services",),
        node=CopyingNode,
    ),
)


def defect_named(name: str) -> Defect:
    """Return a defect; raises KeyError."""
    return {defect.name: defect for defect in DEFECTS}[name]


def defect_for(wanted: str | None, family: Family) -> Defect:
    """Return what `--break` asks for: a defect, or one by which a scenario shows an invariant.

    Raises ConfigError if there is none.
    """
    if not wanted:
        return SOUND
    against = [d for d in DEFECTS if d.breaks is not None and d.breaks.title == wanted]
    if not against:
        return _by_name(wanted)
    shown = [defect for defect in against if family in defect.shows_in]
    if not shown:
        others = ", ".join(sorted({kind for defect in against for kind in defect.shows_in}))
        raise ConfigError(f"this scenario does not show {wanted}; these do: {others}")
    return shown[0]


def _by_name(name: str) -> Defect:
    try:
        return defect_named(name)
    except KeyError as error:
        names = ", ".join(defect.name for defect in DEFECTS)
        raise ConfigError(
            f"nothing to break is called {name!r}; there are the invariants and: {names}"
        ) from error
