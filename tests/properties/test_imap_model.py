"""Several clients against a simple model of IMAP: whatever they do, they agree with it.

Each client keeps a cache of the folder from untagged responses alone. One speaks in numbers, one
resyncs (RFC 7162), one does without numbers (RFC 9586) and without \\Recent (RFC 9051). They act on
folders in memory, and on those that a daemon keeps, which dies now and then and loses its index.
"""

import asyncio
import re

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from epost.simulation.mail_index import SimulatedMailIndex
from tests.support.imap_dialogue import ImapHouse, WireClient, mail_about
from tests.support.mail import ALICE, organisation

_FETCH = re.compile(r"\* (\d+) (FETCH|UIDFETCH) \((.*)\)")
_VANISHED = re.compile(r"\* VANISHED (\(EARLIER\) )?(\S+)")
_NUMBERED = re.compile(r"\* (\d+) (EXISTS|EXPUNGE)")
_CODE = re.compile(r"\[(HIGHESTMODSEQ|UIDVALIDITY) (\d+)\]")
_FLAGS = re.compile(r"FLAGS \(([^)]*)\)")

FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "Work")
clients = st.sampled_from([0, 1, 2])
flags = st.sampled_from(FLAGS)
uids = st.sets(st.integers(1, 12), min_size=1, max_size=4).map(sorted)


def expanded(numbers: str) -> list[int]:
    ranges = (part.partition(":") for part in numbers.split(","))
    return [n for start, _, end in ranges for n in range(int(start), int(end or start) + 1)]


def spelled(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


class CachingClient:
    """What a mail program believes: uids in order, and the flags of those it has asked for."""

    def __init__(self, client: WireClient, modes: str) -> None:
        self.client = client
        self.modes = modes
        self.uids: list[int | None] = []
        self.flags: dict[int, frozenset[str]] = {}
        self.codes: dict[str, int] = {}
        self.modseq = 0
        self.is_away = False

    async def begin(self) -> None:
        await self.enable()
        await self.command("SELECT INBOX")
        await self.catch_up()

    async def enable(self) -> None:
        if self.modes:
            await self.command(f"ENABLE {self.modes}")

    async def begin_again(self, client: WireClient) -> None:
        """Go on over another connection; who resyncs remembers what it knew."""
        self.client = client
        if self.is_away:
            await self.enable()
        else:
            self.uids, self.flags = [], {}
            await self.begin()

    async def command(self, text: str) -> list[str]:
        lines = await self.client.command(text)
        for line in lines:
            self.hear(line)
        assert lines[-1].startswith("t OK"), lines[-1]
        return lines

    async def catch_up(self) -> None:
        """Ask for what is new, as a program does."""
        if self.is_away:
            await self.come_back()
        await self.command("NOOP")
        if None in self.uids:
            await self.command("UID FETCH 1:* (FLAGS)")
        assert None not in self.uids

    async def leave(self) -> None:
        """Close the folder, knowing all of it."""
        if "QRESYNC" in self.modes:
            await self.catch_up()
            await self.command("UNSELECT")
            self.is_away = True

    async def come_back(self) -> None:
        """Open the folder again and ask only for what has changed meanwhile."""
        self.is_away = False
        since = f"({self.codes['UIDVALIDITY']} {self.modseq})"
        lines = await self.client.command(f"SELECT INBOX (QRESYNC {since})")
        # Numbers are those of the folder without what vanished, which is told behind EXISTS.
        for line in sorted(lines, key=lambda line: "VANISHED" not in line):
            self.hear(line)

    def hear(self, line: str) -> None:
        if fetch := _FETCH.match(line):
            self._hear_fetch(int(fetch[1]), fetch[2] == "UIDFETCH", fetch[3])
        elif vanished := _VANISHED.match(line):
            for uid in expanded(vanished[2]):
                if uid in self.uids:
                    self.uids.remove(uid)
                elif not vanished[1]:  # one that was announced and not asked for yet
                    above = [at for at, known in enumerate(self.uids) if known and known > uid]
                    end = above[0] if above else len(self.uids)
                    assert self.uids[end - 1] is None
                    del self.uids[end - 1]
                self.flags.pop(uid, None)
        elif numbered := _NUMBERED.match(line):
            number = int(numbered[1])
            if numbered[2] == "EXPUNGE":
                self.flags.pop(self.uids.pop(number - 1) or 0, None)
            else:
                self.uids += [None] * (number - len(self.uids))
        for name, value in _CODE.findall(line):
            self.codes[name] = int(value)
            if name == "HIGHESTMODSEQ" and not line.startswith("* OK"):
                self.modseq = max(self.modseq, int(value))

    def _hear_fetch(self, number: int, is_uid: bool, items: str) -> None:
        named = re.search(r"UID (\d+)", items)
        if is_uid:
            uid = number
            if uid not in self.uids:
                self.uids.remove(None)
                known = sorted(known for known in (uid, *self.uids) if known)
                self.uids = [*known, *[None] * self.uids.count(None)]
        else:
            known = self.uids[number - 1]
            assert named is None or known in (None, int(named[1]))
            uid = int(named[1]) if named else known or 0
            self.uids[number - 1] = uid
        if shown := _FLAGS.search(items):
            self.flags[uid] = frozenset(shown[1].split()) - {"\\Recent"}
        if modseq := re.search(r"MODSEQ \((\d+)\)", items):
            self.modseq = max(self.modseq, int(modseq[1]))


class AgreesWithTheModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model: dict[int, frozenset[str]] = {}
        self.uid_next = 1

    @initialize()
    def three_kinds_of_clients_come(self) -> None:
        async def scene() -> None:
            self.house = await self.built()
            await self.house.mail.create("Other")
            kinds = ("", "QRESYNC", "UIDONLY IMAP4rev2")
            self.clients = [CachingClient(await self.house.member(), modes) for modes in kinds]
            for client in self.clients:
                await client.begin()

        self.runner.run(scene())

    async def built(self) -> ImapHouse:
        return ImapHouse()

    def do(self, who: int, text: str) -> list[str]:
        client = self.clients[who]
        if client.is_away:
            self.runner.run(client.come_back())
        return self.runner.run(client.command(text))

    def known(self, wanted: list[int]) -> list[int]:
        return [uid for uid in wanted if uid in self.model]

    @rule(who=clients, given=st.sets(flags).map(sorted), count=st.integers(1, 3))
    def append(self, who: int, given: list[str], count: int) -> None:
        mail = mail_about("x").decode()
        literals = "".join(f" ({' '.join(given)}) {{{len(mail)}+}}\r\n{mail}" for _ in range(count))
        first = self.uid_next
        done = self.do(who, f"APPEND INBOX{literals}")[-1]
        self.uid_next += count
        self.model.update((uid, frozenset(given)) for uid in range(first, self.uid_next))
        told = re.search(r"APPENDUID \d+ (\S+)\]", done)
        assert told is not None
        assert expanded(told[1]) == list(range(first, self.uid_next))

    @rule(who=clients, wanted=uids, sign=st.sampled_from(["+", "-", ""]), flag=flags)
    def store(self, who: int, wanted: list[int], sign: str, flag: str) -> None:
        self.do(who, f"UID STORE {spelled(wanted)} {sign}FLAGS ({flag})")
        for uid in self.known(wanted):
            before = self.model[uid]
            changed = {"+": before | {flag}, "-": before - {flag}, "": frozenset({flag})}
            self.model[uid] = frozenset(changed[sign])

    @rule(who=clients, wanted=st.none() | uids)
    def expunge(self, who: int, wanted: list[int] | None) -> None:
        self.do(who, "EXPUNGE" if wanted is None else f"UID EXPUNGE {spelled(wanted)}")
        for uid in list(self.model) if wanted is None else self.known(wanted):
            if "\\Deleted" in self.model[uid]:
                del self.model[uid]

    @rule(who=clients, wanted=uids)
    def remove(self, who: int, wanted: list[int]) -> None:
        self.store(who, wanted, "+", "\\Deleted")
        self.expunge(who, wanted)

    @rule(who=clients, wanted=uids)
    def move_away(self, who: int, wanted: list[int]) -> None:
        self.runner.run(self.clients[who].catch_up())
        self.do(who, f"UID MOVE {spelled(wanted)} Other")
        for uid in self.known(wanted):
            del self.model[uid]

    @rule(who=clients, wanted=uids)
    def copy_here(self, who: int, wanted: list[int]) -> None:
        self.runner.run(self.clients[who].catch_up())
        self.do(who, f"UID COPY {spelled(wanted)} INBOX")
        for uid in self.known(wanted):
            self.model[self.uid_next] = self.model[uid]
            self.uid_next += 1

    @rule(who=clients, flag=flags, other=flags)
    def search(self, who: int, flag: str, other: str) -> None:
        key, second = (
            f.replace("\\", "") if f[0] == "\\" else f"KEYWORD {f}" for f in (flag, other)
        )
        lines = self.do(who, f"UID SEARCH RETURN (ALL) OR {key} NOT {second}")
        (answer,) = [line for line in lines if line.startswith("* ESEARCH")]
        found = re.search(r" ALL (\S+)", answer)
        matching = [u for u, has in self.model.items() if flag in has or other not in has]
        assert (expanded(found[1]) if found else []) == matching

    @rule(who=clients)
    def catch_up(self, who: int) -> None:
        self.agrees(who)

    @rule(who=clients)
    def leave(self, who: int) -> None:
        if not self.clients[who].is_away:
            self.runner.run(self.clients[who].leave())

    def agrees(self, who: int) -> None:
        client = self.clients[who]
        self.runner.run(client.catch_up())
        assert client.uids == list(self.model)
        assert client.flags == self.model

    def teardown(self) -> None:
        try:
            for who in range(len(getattr(self, "clients", ()))):
                self.agrees(who)
        finally:
            self.runner.close()


class AgreesInFrontOfADaemonsFolders(AgreesWithTheModel):
    async def built(self) -> ImapHouse:
        (self.alice,) = organisation(ALICE)
        await self.alice.start()
        return ImapHouse(self.alice.mail.mailbox)

    @rule(loses_index=st.booleans())
    def die(self, *, loses_index: bool) -> None:
        async def scene() -> None:
            for client in self.clients:
                await client.leave()
                await client.client.hang_up()
            await self.alice.restart(SimulatedMailIndex() if loses_index else None)
            self.house.mail = self.alice.mail.mailbox
            for client in self.clients:
                await client.begin_again(await self.house.member())

        self.runner.run(scene())

    def teardown(self) -> None:
        if hasattr(self, "alice"):
            self.die(loses_index=True)
            for who in range(len(self.clients)):
                self.agrees(who)
            self.runner.run(self.alice.mail.stop())
        self.clients = []
        super().teardown()


TestAgreesWithTheModel = AgreesWithTheModel.TestCase
TestAgreesWithTheModel.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestAgreesInFrontOfADaemonsFolders = AgreesInFrontOfADaemonsFolders.TestCase
TestAgreesInFrontOfADaemonsFolders.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None
)
