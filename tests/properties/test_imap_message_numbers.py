"""Two clients of one folder: what each was told always adds up to what is there (RFC 3501 7.4.1).

The model is a client that believes only the untagged responses: it counts messages by EXISTS and
EXPUNGE, and every FETCH must show a UID at the number where the model expects it.
"""

import asyncio
import re

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.support.imap_dialogue import ImapHouse, WireClient, mail_about, put

_UNTAGGED = re.compile(r"\* (\d+) (EXISTS|EXPUNGE|FETCH)(?: \((.*))?")
_UID = re.compile(r"UID (\d+)")

clients = st.sampled_from([0, 1])
places = st.integers(0, 7)


class Believer:
    """A client's picture of the folder: uids by number, None where it was not told yet."""

    def __init__(self, client: WireClient) -> None:
        self.client = client
        self.uids: list[int | None] = []

    async def command(self, text: str) -> list[str]:
        lines = await self.client.command(text)
        for line in lines[:-1]:
            self.hear(line)
        return lines

    def hear(self, line: str) -> None:
        match = _UNTAGGED.match(line)
        if match is None:
            return
        number = int(match[1])
        if match[2] == "EXISTS":
            assert number >= len(self.uids)
            self.uids += [None] * (number - len(self.uids))
            return
        assert 1 <= number <= len(self.uids)
        if match[2] == "EXPUNGE":
            del self.uids[number - 1]
        elif uid := _UID.search(match[3]):
            assert self.uids[number - 1] in (None, int(uid[1]))
            self.uids[number - 1] = int(uid[1])


class TwoClients(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()

    def run(self, coroutine):
        return self.runner.run(coroutine)

    @initialize(count=st.integers(2, 6))
    def both_select_the_folder(self, count: int) -> None:
        async def scene() -> None:
            self.house = ImapHouse()
            for number in range(count):
                await put(self.house.mail, mail_about(str(number)))
            self.believers = [Believer(await self.house.member()) for _ in range(2)]
            for believer in self.believers:
                await believer.command("SELECT INBOX")

        self.run(scene())

    @rule()
    def mail_arrives(self) -> None:
        self.run(put(self.house.mail, mail_about("new")))

    @rule(who=clients, place=places, verb=st.sampled_from(["FETCH {} UID", "STORE {} +FLAGS {}"]))
    def a_client_names_numbers(self, who: int, place: int, verb: str) -> None:
        believer = self.believers[who]
        if place >= len(believer.uids):
            return
        lines = self.run(believer.command(verb.format(f"{place + 1}:*", r"(\Deleted)")))
        assert lines[-1].startswith(("t OK", "t NO [EXPUNGEISSUED]"))
        assert not any(line.endswith("EXPUNGE") for line in lines)

    @rule(who=clients, place=places)
    def a_client_removes_one(self, who: int, place: int) -> None:
        believer = self.believers[who]
        if place < len(believer.uids):
            self.run(believer.command(f"STORE {place + 1} +FLAGS.SILENT (\\Deleted)"))
            self.run(believer.command("EXPUNGE"))

    @rule(who=clients)
    def a_client_searches(self, who: int) -> None:
        believer = self.believers[who]
        lines = self.run(believer.client.command("SEARCH ALL"))
        for line in lines:
            if line.startswith("* SEARCH"):
                assert [int(n) for n in line.split()[2:]] == list(range(1, len(believer.uids) + 1))
            believer.hear(line)
        assert not any(line.endswith("EXPUNGE") for line in lines)

    @rule(
        who=clients,
        command=st.sampled_from(
            [
                "NOOP",
                "EXPUNGE",
                "UID FETCH 1:* FLAGS",
                "UID SEARCH ALL",
                "UID STORE 1:3 -FLAGS (\\Deleted)",
                "COPY 1:* INBOX",
                "UID MOVE 1:2 INBOX",
                "UID EXPUNGE 1:4",
                "APPEND INBOX {1+}\r\nx",
            ]
        ),
    )
    def a_client_does_what_may_shift_numbers(self, who: int, command: str) -> None:
        lines = self.run(self.believers[who].command(command))
        assert lines[-1].startswith("t OK")

    @rule(
        who=clients,
        wish=st.sampled_from(
            [
                "NONE",
                "SET (PERSONAL (MessageNew MessageExpunge))",
                "SET (SELECTED-DELAYED (MessageNew MessageExpunge))",
                "SET (SELECTED-DELAYED (MessageNew (UID FLAGS) MessageExpunge FlagChange))",
            ]
        ),
    )
    def a_client_says_what_it_wants_to_hear(self, who: int, wish: str) -> None:
        lines = self.run(self.believers[who].command(f"NOTIFY {wish}"))
        assert lines[-1].startswith("t OK")

    @rule(who=clients)
    def a_client_idles_while_mail_arrives(self, who: int) -> None:
        async def scene() -> None:
            believer = self.believers[who]
            believer.client.send(b"t IDLE\r\n")
            while (line := await believer.client.line()) != b"+ idling":
                believer.hear(line.decode())
            await put(self.house.mail, mail_about("idle"))
            believer.client.send(b"DONE\r\n")
            while not (line := await believer.client.line()).startswith(b"t "):
                believer.hear(line.decode())

        self.run(scene())

    def teardown(self) -> None:
        async def scene() -> None:
            there = list(self.house.mail.folder("INBOX").uids())
            for believer in self.believers:
                await believer.command("NOTIFY SET (SELECTED-DELAYED (MessageNew MessageExpunge))")
                await believer.command("FETCH 1:* UID")
                assert believer.uids == there
                await believer.client.hang_up()

        if hasattr(self, "believers"):
            self.run(scene())
        self.runner.close()


TestTwoClients = TwoClients.TestCase
TestTwoClients.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
