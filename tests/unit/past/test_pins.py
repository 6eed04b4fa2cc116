"""The newest version ever seen is remembered, over restarts too."""

from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import DeleteNote, PutNote, Write
from epost.past import pins as module
from epost.past.pins import Pins

ONE, TWO, THREE = (Handle(BlockKind.KEY, bytes([n]) * 32) for n in range(3))


class Vault:
    """Notes only."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}

    def notes(self, _table: str) -> list[tuple[bytes, bytes]]:
        return sorted(self.kept.items())

    def write(self, write: Write) -> None:
        match write:
            case PutNote(_, key, value):
                self.kept[key] = value
            case DeleteNote(_, key):
                del self.kept[key]


def pins(vault: Vault) -> Pins:
    return Pins(vault, vault.write)  # type: ignore[arg-type]  # only notes are used


def test_only_newer_versions_replace_a_pin() -> None:
    vault = Vault()
    seen = pins(vault)
    assert seen.get(ONE) is None
    for order in ((2, b"b" * 32), (2, b"a" * 32), (1, b"z" * 32)):
        seen.saw(ONE, order)
    assert seen.get(ONE) == (2, b"b" * 32)
    seen.saw(ONE, (3, b"a" * 32))
    assert pins(vault).get(ONE) == (3, b"a" * 32)


def test_the_longest_unseen_is_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(module, "PINS_MAX", 2)
    vault = Vault()
    seen = pins(vault)
    for handle in (ONE, TWO, THREE):
        seen.saw(handle, (1, b""))
    assert seen.get(ONE) is None
    assert len(vault.kept) == 2
