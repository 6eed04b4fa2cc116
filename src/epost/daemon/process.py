"""The daemon: opens the real ports, puts the node together, serves until it is told to stop.

Exit codes: 0 stopped in good order, 1 cannot start (one line says why), 2 the node stopped by
itself (disk full, or a bug): whoever supervises the daemon starts it again from its vault.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from epost.crypto.certificates import OrganisationTrust, recall_node
from epost.crypto.hashing import derive
from epost.crypto.sealing import HpkeSealing
from epost.crypto.signing import SigningKey
from epost.daemon.account.door import AccountDoor
from epost.daemon.account.own_keys import tell_of_other_keys
from epost.daemon.account.own_name import OwnName
from epost.daemon.config import NodeConfig, parse_address
from epost.daemon.control import Command, ControlServer, socket_path
from epost.daemon.file_reading.reader import FileReadingProcess
from epost.daemon.files import make_private_folder
from epost.daemon.folder import Membership, NodeFolder
from epost.daemon.inspecting import InspectionJob
from epost.daemon.mail_index.index import open_mail_index
from epost.daemon.mail_programs.door import MailFronts
from epost.daemon.mail_programs.listeners import MailListeners
from epost.daemon.mail_programs.loopback import LoopbackOwnerCheck
from epost.daemon.mail_programs.passwords import PasswordFile
from epost.daemon.memory import return_large_buffers
from epost.daemon.node_settings import advertised, bootstrap, node_configs
from epost.daemon.observability.counters import EventCounters
from epost.daemon.observability.logs import LoggingObserver, logger, start_logging
from epost.daemon.observability.metrics import Gauges, MetricsServer, read_token
from epost.daemon.observability.ring_report import RingReport
from epost.daemon.observability.status import NodeStatus
from epost.daemon.offload import ThreadOffload
from epost.daemon.own_certificates import OwnCertificates
from epost.daemon.past_folders import PastFolders
from epost.daemon.power import LinuxPowerAndLink
from epost.daemon.privileges import give_up_privileges
from epost.daemon.renewal import FolderStanding
from epost.daemon.ring_word import RingWord
from epost.daemon.secret_file import SecretFile
from epost.daemon.sent_queue import SentQueue
from epost.daemon.spool import DiskSpool
from epost.daemon.tls import NodeIdentity, TlsTransport, listen
from epost.daemon.trace import Trace
from epost.daemon.unlocking import passphrase_for
from epost.daemon.vault import SqliteVault
from epost.daemon.world import SystemClock, SystemEntropy, run
from epost.foundation.errors import EpostError
from epost.foundation.ids import BlockKind, NodeHandle
from epost.foundation.ports import Clock
from epost.node.assembly import Node
from epost.node.observed import AccountRekeyed, AccountRenamed
from epost.node.settings import NodeMembership, NodePorts, UserOfNode
from epost.past.observed import NodeDistrusted
from epost.rings.observed import NewsAccepted

T = TypeVar("T")

WORKER_THREADS = 4
WATCH_SECONDS = 60.0
EXIT_CANNOT_START = 1
EXIT_FAILED = 2


def run_daemon(data_dir: Path) -> int:
    """Run the daemon of a data folder; return the exit code."""
    give_up_privileges()
    return_large_buffers()
    try:
        folder = NodeFolder(data_dir.resolve())
        config = folder.read_config()
        if folder.is_enrolled:
            folder.forget_enrolment()  # if whoever joined died before that
        start_logging(config.log.level, as_json=config.log.format == "json")
        return run(_serve(folder, config))
    except EpostError as error:
        print(f"epost: {error}", file=sys.stderr)  # noqa: T201 - whoever starts the daemon reads it
        return EXIT_CANNOT_START


async def _serve(folder: NodeFolder, config: NodeConfig) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        daemon = Daemon(folder, config, stack)
        await daemon.start()
        # What the start made stays: the collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        where = ", ".join(f"{name} {at}" for name, at in daemon.services().items())
        logger.info("node %s is up: %s", daemon.node.me, where)
        waiting = loop.create_task(stop.wait())
        while not waiting.done() and not daemon.node.stopped.done():
            await first_done(waiting, daemon.node.stopped)
        waiting.cancel()
        if daemon.node.stopped.done() and (error := daemon.node.stopped.exception()):
            logger.error("the node stopped by itself: %s", error, exc_info=error)
            return EXIT_FAILED
    logger.info("stopped")
    return 0


async def first_done(*futures: asyncio.Future[Any]) -> None:
    """Return when any of the futures is done, without cancelling the others."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def wake(_: object) -> None:
        if not done.done():
            done.set_result(None)

    for future in futures:
        future.add_done_callback(wake)
    try:
        await done
    finally:
        for future in futures:
            future.remove_done_callback(wake)


class Daemon:
    """Everything of one running daemon; what was opened is closed by the stack, in reverse."""

    def __init__(
        self,
        folder: NodeFolder,
        config: NodeConfig,
        stack: AsyncExitStack,
        *,
        membership: Membership | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`membership` is the folder's, unless that is not written yet (a recovery); `clock` is the
        machine's, unless old data is opened as on the day it was written."""
        self._folder = folder
        self._config = config
        self._stack = stack
        self._clock = clock or SystemClock()
        self._entropy = SystemEntropy()
        self._registry = CollectorRegistry()
        counters = EventCounters(self._registry, self._clock.now)
        self._observer = LoggingObserver(counters.count)
        self._executor = ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="worker")
        stack.callback(self._executor.shutdown, wait=False, cancel_futures=True)
        if membership is None:
            membership = folder.read_membership()
            folder.forget_enrolment()  # if the machine died before the enrolment itself could
        self._membership = membership
        certificate = recall_node(self._membership.node)
        self._me = NodeHandle(certificate.ring, certificate.node_id, advertised(config))
        self._node_seed = folder.read_node_seed()
        self.metrics_port = 0
        self._power = LinuxPowerAndLink(self._clock.now)
        self.node = self._make_node()
        self._ring = RingReport(
            self.node, self._clock, node_configs(self._config).past, self._transport.relay_to
        )
        self._status = NodeStatus(self.node, self._ring, key_protection=folder.key_protection())
        self._name = OwnName(self.node, PasswordFile(folder.path))
        self._observer.listen(AccountRenamed, lambda _: self._name.adopt())
        self._observer.listen(AccountRekeyed, self._tell_of_keys)
        standing = FolderStanding(
            self._folder, self._membership, self._identity(), self._transport, self.node.issuers
        )
        self._observer.listen(NewsAccepted, lambda _: standing.keep_authority())
        self.certificates = OwnCertificates(
            self.node,
            standing,
            SigningKey(self._node_seed),
            enrolment=config.ring.enrolment,
            clock=self._clock,
            observer=self._observer,
        )
        self._status.also(self.certificates.advice)

    def _tell_of_keys(self, _: AccountRekeyed) -> None:
        self.node.driver.run_story(tell_of_other_keys(self.node, self._clock))

    async def start(self) -> None:
        """Open the control socket, start the node, then serve mail programs."""
        await self._start_control()
        listeners = self._bind_listeners()  # a port that is taken is said before the ring sees us
        await self._start_metrics()
        self.node.start()
        self._stack.push_async_callback(self.node.stop)
        self.node.driver.run_story(self._watch_ring())
        self.node.driver.run_story(self._power.watch_link())
        for story in self.certificates.stories():
            self.node.driver.run_story(story)
        await self._start_issuing()
        await self.node.ready()
        if listeners is not None:
            await listeners.start()
            self._stack.push_async_callback(listeners.close)

    def services(self) -> dict[str, str]:
        """Return where this daemon listens, by what for."""
        found = {"ring": self._config.ring.listen}
        if self.node.mail is not None:
            mail = self._config.mail
            found |= {"SMTP": mail.smtp, "IMAP": mail.imap}
            found |= {"POP3": mail.pop3} if mail.pop3 else {}
        if self._config.authority.directory:
            found["enrolment"] = self._config.authority.listen
        if self.metrics_port:
            host = parse_address(self._config.metrics.listen).host
            found["metrics"] = f"http://{host}:{self.metrics_port}/metrics"
        return found

    # The node and its ports.

    def _make_node(self) -> Node:
        vault = SqliteVault(
            make_private_folder(self._folder.vault),
            contributed_bytes_max=self._config.storage.contributed_bytes,
            observer=self._observer,
        )
        self._stack.push_async_callback(vault.close)
        word = RingWord(self._clock, self._observer)
        transport = TlsTransport(
            self._identity(),
            word,
            listeners=[listen(parse_address(self._config.ring.listen), purpose="[ring] listen")],
            clock=self._clock,
            entropy=self._entropy,
            observer=self._observer,
            is_overloaded=word.is_overloaded,
        )
        word.transport = self._transport = transport
        self._observer.listen(NewsAccepted, lambda _: word.recheck())
        self._observer.listen(
            NodeDistrusted, lambda event: transport.refuse(event.node, "sent invalid blocks")
        )
        self._stack.push_async_callback(transport.close)
        ports = NodePorts(
            clock=self._clock,
            entropy=self._entropy,
            observer=self._observer,
            sealing=HpkeSealing(),
            vault=vault,
            transport=transport,
            power=self._power,
        )
        node = Node(self._node_membership(), ports, node_configs(self._config), self._user())
        word.node = node
        return node

    def _identity(self) -> NodeIdentity:
        return NodeIdentity(
            node=self._me,
            certificate=self._membership.node,
            leaf=self._membership.x509_leaf,
            authorities=self._membership.x509_authorities,
            key_seed=self._node_seed,
        )

    def _node_membership(self) -> NodeMembership:
        membership = self._membership
        return NodeMembership(
            me=self._me,
            node_key=SigningKey(self._node_seed),
            node_certificate=membership.node,
            trust=OrganisationTrust(membership.organisation, membership.issuers),
            authority_blocks=(membership.root_block, *membership.issuer_blocks),
            bootstrap=bootstrap(self._config, self._me.ring),
        )

    def _user(self) -> UserOfNode | None:
        if not self._membership.account:
            return None
        passphrase = passphrase_for(self._folder)
        secrets = self._folder.read_device_secrets(passphrase)
        key = derive(secrets.log_seed, "key/index").key
        offload = ThreadOffload(self._executor)
        read_file = FileReadingProcess()
        self._stack.push_async_callback(read_file.close)
        return UserOfNode(
            account_certificate=self._membership.account,
            secrets=secrets,
            secret_store=SecretFile(self._folder, self._entropy, passphrase),
            first_blocks=[(BlockKind(b.kind), b.data) for b in self._membership.first_blocks],
            open_index=lambda: open_mail_index(self._folder.index, key, self._observer),
            offload=offload,
            read_file=read_file,
            spool=DiskSpool(self._folder.spool, offload, self._config.mail.message_size_max),
        )

    # What the daemon serves.

    async def _start_control(self) -> None:
        async def status(_: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**self._status.overview(), "services": self.services()}

        async def parts(request: Mapping[str, Any]) -> Mapping[str, Any]:
            return await self._status.parts(str(request.get("message_id", "")))

        async def ring(_: Mapping[str, Any]) -> Mapping[str, Any]:
            return self._ring.overview()

        commands: dict[str, Command] = {
            "status": status,
            **SentQueue(self.node, self._clock).commands(),
            "parts": parts,
            "ring": ring,
            "trace": Trace(self.node).find,
            **AccountDoor(self.node).commands(),
            **InspectionJob(self.node).commands(),
            **PastFolders(self.node).commands(),
        }
        control = ControlServer(socket_path(self._folder.path), commands)
        await control.start()
        self._stack.push_async_callback(control.close)

    async def _watch_ring(self) -> None:
        while True:
            self._ring.watch()
            await asyncio.sleep(WATCH_SECONDS)

    async def _start_metrics(self) -> None:
        if not self._config.metrics.listen:
            return
        is_checked = LoopbackOwnerCheck.is_available()
        self._registry.register(Gauges(self._status.metrics))
        metrics = MetricsServer(
            self._registry,
            token=read_token(self._folder.path),
            peer_check=LoopbackOwnerCheck(self._executor) if is_checked else None,
        )
        await metrics.start(parse_address(self._config.metrics.listen))
        self.metrics_port = metrics.port
        self._stack.push_async_callback(metrics.close)

    async def _start_issuing(self) -> None:
        """Most daemons issue nothing: what does it is loaded where it is needed."""
        at = self.node, self._observer, self._clock
        if self._config.authority.directory:
            from epost.daemon.authority.upkeep import AuthorityUpkeep

            upkeep = AuthorityUpkeep(self._config.authority, *at)
            await self._stack.enter_async_context(upkeep)
            self._status.also(upkeep.advice)
        elif self._folder.deputy.exists():
            from epost.daemon.authority.deputy_upkeep import DeputyUpkeep

            await self._stack.enter_async_context(DeputyUpkeep(self._folder.deputy, *at))

    def _storage_limit(self) -> int:
        """What the policy lets this member keep, in octets; 0 for no limit."""
        quotas = self.node.issuers.policy.quotas
        own_class = self.certificates.renewal.quota_class
        return quotas[own_class] << 20 if own_class < len(quotas) else 0

    def _bind_listeners(self) -> MailListeners | None:
        mail = self.node.mail
        if mail is None:
            return None
        self._name.adopt()
        listeners = MailListeners(
            self._config.mail,
            self._folder.path,
            MailFronts(mail.submission, self._name.open_mail, self._storage_limit, mail.spool),
            clock=self._clock,
            executor=self._executor,
        )
        self._stack.callback(listeners.release)
        listeners.bind()
        return listeners
