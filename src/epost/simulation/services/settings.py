"""What happens in an organisation of the scenario `services`, how often, and in a run of weeks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from epost.node.settings import NodeConfigs
from epost.past.config import PastConfig
from epost.pastry.config import PastryConfig
from epost.post.config import PostConfig
from epost.rings.config import RingsConfig
from epost.scribe.config import ScribeConfig
from epost.simulation.churn import ChurnConfig
from epost.simulation.correspondence import CorrespondenceConfig
from epost.simulation.network import NetworkConfig
from epost.simulation.services.forks import ForkConfig
from epost.simulation.storage.trouble import TroubleConfig

NODES = NodeConfigs(
    past=PastConfig(
        repair_delay_seconds=20.0,
        tick_seconds=10.0,
        push_backoff_seconds_min=5.0,
        # The trouble never takes more than a repair can follow, so copying need never pause.
        mass_absence_part=1.0,
        surplus_kept_seconds=300.0,
        scrub_seconds=60.0,
    )
)
TROUBLE = TroubleConfig(
    crash_every=40.0,
    sleep_every=60.0,
    disk_loss_every=240.0,
    rot_every=240.0,
    full_disk_every=480.0,
    partition_every=1200.0,
    cut_every=120.0,
    clock_every=120.0,
    # A notice from a clock that is wrong by more than ten minutes is put off (crypto 7.2).
    skew_seconds_max=240.0,
)
STRETCH = 300.0
"""How many times rarer everything is in a run of weeks."""


@dataclass(frozen=True)
class ServicesConfig:
    """The scenario's settings; times in seconds."""

    machines: int = 120
    users: int = 14
    further_machines: tuple[int, ...] = (2, 2, 1, 1, 1, 1, 1, 1)
    """Of the first users, beside the machine that each has."""
    nodes: NodeConfigs = NODES
    network: NetworkConfig = field(
        default_factory=lambda: NetworkConfig(loss=0.01, duplication=0.005, reorder=0.01)
    )
    trouble: TroubleConfig = TROUBLE
    forks: ForkConfig = field(default_factory=ForkConfig)
    correspondence: CorrespondenceConfig = field(
        default_factory=lambda: CorrespondenceConfig(
            mail_every_seconds=120.0,
            lookup_every_seconds=3.0,
            text_size_max=2000,
            attachment_size_max=100_000,
            attachments=8,
        )
    )
    publication_seconds: float = 5.0
    act_every_seconds: float = 6.0
    lying_delegates_part: float = 1 / 3
    replay_every_seconds: float = 10.0
    """How often a delegate that replays presences does so."""
    on_holiday: int = 3
    holiday_seconds: float = 240.0
    settling_seconds: float = 60.0
    healing_seconds: float = 900.0
    """Without trouble, after which all machines of a user must agree."""
    blocks_read: int = 50
    rolled_back: int = 3
    """So many blocks go back to their first version on all machines in the end."""


SMALL = ServicesConfig(
    machines=24,
    users=6,
    further_machines=(1, 1),
    on_holiday=2,
    # As many mails, forks and partitions as a large organisation has, among fewer.
    forks=ForkConfig(backup_every=10.0, restore_every=30.0, clone_every=30.0),
    trouble=replace(TROUBLE, partition_every=240.0),
)
"""A small organisation: bugs come cheaper there."""

HOUR = 3600.0
DAY = 24 * HOUR


def stretched(config: ServicesConfig) -> ServicesConfig:
    """Return the settings for weeks: all that happens, maintenance too, some `STRETCH` times rarer.

    What limits an answer (a call, an append, a reading) stays as it is.
    """
    trouble, forks, words = config.trouble, config.forks, config.correspondence
    rarer = {
        name: getattr(trouble, name) * STRETCH
        for name in TroubleConfig.__dataclass_fields__
        if name.endswith("_every")
    }
    return replace(
        config,
        nodes=_stretched_nodes(config.nodes),
        trouble=replace(
            trouble,
            **rarer,
            outage_seconds_max=trouble.outage_seconds_max * STRETCH,
            window=ChurnConfig(repair_window_seconds=6 * HOUR, down_seconds_min=600.0),
        ),
        forks=ForkConfig(
            *(getattr(forks, name) * STRETCH for name in ForkConfig.__dataclass_fields__)
        ),
        correspondence=replace(
            words,
            mail_every_seconds=words.mail_every_seconds * STRETCH,
            lookup_every_seconds=words.lookup_every_seconds * STRETCH,
            forgery_every_seconds=words.forgery_every_seconds * STRETCH,
        ),
        publication_seconds=6 * HOUR,
        act_every_seconds=config.act_every_seconds * STRETCH,
        replay_every_seconds=config.replay_every_seconds * STRETCH,
        holiday_seconds=DAY,
        settling_seconds=3 * HOUR,
        healing_seconds=2 * DAY,
    )


def _stretched_nodes(nodes: NodeConfigs) -> NodeConfigs:
    return replace(
        nodes,
        pastry=PastryConfig(
            heartbeat_seconds=HOUR,
            suspect_after_seconds=1.5 * HOUR,
            exchange_seconds=6 * HOUR,
            exchange_quiet_seconds=DAY,
            table_upkeep_seconds=DAY,
            seek_seconds_max=HOUR,
            healing_seconds=HOUR,
        ),
        rings=RingsConfig(gossip_seconds=6 * HOUR),
        scribe=ScribeConfig(
            refresh_seconds=HOUR, child_kept_seconds=2 * HOUR, seek_seconds_max=HOUR
        ),
        past=replace(
            nodes.past,
            tick_seconds=HOUR,
            repair_delay_seconds=HOUR,
            maintenance_interval_seconds=6 * HOUR,
            push_backoff_seconds_min=600.0,
            push_backoff_seconds_max=HOUR,
            surplus_kept_seconds=DAY,
            scrub_seconds=DAY,
            sweep_seconds=6 * HOUR,
            lease_sweep_seconds=6 * HOUR,
        ),
        post=PostConfig(
            sibling_seconds=1.25 * HOUR,
            sibling_seconds_alone=DAY,
            presence_seconds=HOUR,
            presence_gap_seconds_min=600.0,
            checkpoint_seconds=600.0,
            log_retry_seconds_max=HOUR,
            log_look_seconds=6 * HOUR,
            offer_again_seconds_min=600.0,
        ),
    )
