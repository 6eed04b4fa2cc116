"""The story of the demo: found, start, wait until whole, send a mail, check it, stay up."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from epost.daemon.control import ControlServer, ask, socket_path
from epost.daemon.demo import report
from epost.daemon.demo.check import MailCheck, check_mail
from epost.daemon.demo.organisation import DemoOrganisation
from epost.daemon.demo.processes import Daemons
from epost.daemon.demo.state import DemoNode, node_folder, write_demo_json
from epost.daemon.files import locked, make_private_folder
from epost.foundation.errors import ConfigError, EpostError, UnavailableError
from epost.pastry.config import PastryConfig

WHOLE_TIMEOUT_SECONDS = 90.0
WHOLE_SECONDS_PER_NODE = 4.0
STARTING_AT_ONCE_MAX = 6
POLL_SECONDS = 0.2
LOCK_FILE = "demo.lock"
SETTLED_LOGS = ("ring-durable", "no user's log on this node")


def run_demo(
    directory: Path,
    *,
    nodes: int,
    users: Sequence[str],
    once: bool,
    repair_delay_seconds: float,
) -> int:
    """Run the demo; return the exit code: 0, or 1 with a plain reason on the screen."""
    console = Console()
    make_private_folder(directory)
    demo = Demo(directory.resolve(), console)
    try:
        # Without the lock another demo here would stop our daemons and start its own.
        with locked(directory / LOCK_FILE), ExitStack() as stack:
            stack.callback(demo.stop)
            demo.set_up(nodes, users, repair_delay_seconds)
            demo.start()
            demo.check()
            if not once:
                asyncio.run(demo.stay_up())
        return 0
    except EpostError as error:
        console.print(f"\n[bold red]The demo failed:[/] {error}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130


class Demo:
    """One running demo on one folder."""

    def __init__(self, directory: Path, console: Console) -> None:
        self._directory = directory
        self._console = console
        self._daemons = Daemons()
        self.organisation: DemoOrganisation

    def set_up(self, nodes: int, users: Sequence[str], repair_delay_seconds: float) -> None:
        """Found the organisation, or take up the one that this folder holds."""
        self.organisation = DemoOrganisation(self._directory, repair_delay_seconds)
        if self.organisation.exists:
            report.show_resumed(self._console, self.organisation.state, nodes)
        else:
            report.show_beginning(self._console, nodes, users)
        with _progress(self._console) as progress:
            task = progress.add_task("Enrolling machines", total=None)
            for done, total, name in self.organisation.enrol(nodes, users):
                progress.update(task, description=f"Enrolled {name}", completed=done, total=total)

    def start(self) -> None:
        """Start every daemon, wait until the ring is whole, publish demo.json."""
        nodes = self.organisation.startable()
        report.show_lost(self._console, self.organisation.lost())
        with _progress(self._console) as progress:
            task = progress.add_task("Starting daemons", total=len(nodes))
            for rank, node in enumerate(nodes):
                self._daemons.start(node.name, self._folder(node.name))
                if rank >= STARTING_AT_ONCE_MAX:  # many would keep each other from starting in time
                    self._wait_until_up(nodes[rank - STARTING_AT_ONCE_MAX])
            for node in nodes:
                self._wait_until_up(node)
                progress.update(task, advance=1, description=f"{node.name} is up")
            task = progress.add_task("Waiting until the ring is whole", total=len(nodes))
            self._wait_until_whole(nodes, lambda done: progress.update(task, completed=done))
        self._publish()
        report.show_ring(self._console, self.organisation.state, self._daemons.pids)

    def check(self) -> None:
        """Send the mail, read it back at every recipient, and count the copies of its parts."""
        with _progress(self._console) as progress:
            task = progress.add_task("Sending a mail of about 300 KB", total=None)

            def step(text: str) -> None:
                progress.update(task, description=text)

            lost = self.organisation.lost()
            check: MailCheck = check_mail(self._directory, self.organisation.state, lost, step)
        report.show_check(self._console, check)
        if not check.passed:
            raise UnavailableError(check.reason)

    async def stay_up(self) -> None:
        """Serve restart-node until Ctrl-C; a killed daemon stays dead unless asked for.

        Whoever reads on the screen that all is up may end it: so that is said when a signal is
        waited for, and raises no KeyboardInterrupt in the middle of something any more.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        commands = {"restart-node": self._restart, "status": self._status}
        control = ControlServer(socket_path(self._directory), commands)
        await control.start()
        self._show_how_to_use_it()
        await stop.wait()
        await control.close()

    def _show_how_to_use_it(self) -> None:
        organisation = self.organisation
        report.show_settings(self._console, self._directory, organisation.state)
        report.show_authority(self._console, organisation.authority_dir, organisation.issuing_node)

    def stop(self) -> None:
        """Stop every daemon that still runs."""
        for name in self._daemons.stop_all():
            self._console.print(f"[dim]{name} stopped[/]")

    async def _status(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"pid": os.getpid(), "nodes": self._daemons.pids}

    async def _restart(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return await asyncio.to_thread(self._restart_node, str(request.get("name", "")))

    def _restart_node(self, name: str) -> Mapping[str, Any]:
        node = self.organisation.node(name)
        if self._daemons.is_running(name):
            raise ConfigError(f"{name} is running (pid {self._daemons.pids[name]})")
        text = self.organisation.make_startable(node)
        self._daemons.start(name, self._folder(name))
        self._daemons.wait_until_ready(name, self._folder(name))
        self._publish()
        self._console.print(text)
        return {"text": text, "pid": self._daemons.pids[name], "node_id": node.node_id}

    def _folder(self, name: str) -> Path:
        return node_folder(self._directory, name)

    def _wait_until_up(self, node: DemoNode) -> None:
        self._daemons.wait_until_ready(node.name, self._folder(node.name))

    def _publish(self) -> None:
        write_demo_json(
            self._directory,
            self.organisation.state,
            demo_pid=os.getpid(),
            processes=self._daemons.pids,
        )

    def _wait_until_whole(self, nodes: Sequence[DemoNode], tick: Any) -> None:
        seconds = WHOLE_TIMEOUT_SECONDS + len(nodes) * WHOLE_SECONDS_PER_NODE
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            states = [ask(self._folder(n.name), "status") for n in nodes]
            whole = sum(_is_whole(s, len(nodes)) for s in states)
            tick(whole)
            if whole == len(nodes):
                return
            time.sleep(POLL_SECONDS)
        lost = ", ".join(node.name for node in self.organisation.lost())
        without = f" without {lost}" if lost else ""
        raise UnavailableError(
            f"the ring was not whole after {seconds:.0f} s{without}: see the logs in "
            f"{self._directory / 'logs'}"
        )


def _is_whole(status: Mapping[str, Any], nodes: int) -> bool:
    ring, storage = status["ring"], status["storage"]
    return bool(
        ring["ready"]
        and ring["members"] >= min(nodes, PastryConfig().leaf_set_size + 1)
        and ring["enrolled"] >= nodes
        and storage["unpushed"] == 0
        and status["log"] in SETTLED_LOGS
    )


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        console=console,
    )
