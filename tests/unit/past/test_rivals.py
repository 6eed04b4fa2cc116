"""Second bodies of one version are kept as evidence: a bounded number, for little work."""

from types import SimpleNamespace

from epost.foundation.effects import Outbox
from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import PutNote, Role, VaultEntry
from epost.past.config import RIVALS_MAX
from epost.past.rivals import Rivals


class Vault:
    def __init__(self, count: int) -> None:
        self.kept = {b"%d" % n: b"a body" for n in range(count)}
        self.read = 0

    def note(self, _table: str, key: bytes) -> bytes | None:
        return self.kept.get(key)

    def notes(self, _table: str) -> list[tuple[bytes, bytes]]:
        self.read += len(self.kept)
        return sorted(self.kept.items())


def test_a_member_who_equivocates_all_day_has_the_evidence_read_once() -> None:
    vault, outbox = Vault(RIVALS_MAX - 2), Outbox()
    rivals = Rivals(SimpleNamespace(vault=vault, outbox=outbox, observer=None))
    for n in range(100):
        handle = Handle(BlockKind.CERTIFICATE, bytes([n]) * 32)
        rivals.keep(VaultEntry(handle, 1, Role.REPLICA), loser=b"one", winner=b"other")
    assert [type(write) for write in outbox.drain()] == [PutNote, PutNote]
    assert vault.read == RIVALS_MAX - 2
