"""What the process that reads files says, and what it gives up first."""

from __future__ import annotations

import io
import resource
import sys

import pytest

from epost.apps.mail.attached.kinds import FileKind
from epost.daemon.file_reading import child
from epost.daemon.file_reading.frames import READY, REQUEST, SIZE
from tests.support.attached_files import archive, pdf_of_pages


def request(kind: FileKind, octets: bytes) -> bytes:
    return REQUEST.pack(kind, len(octets)) + octets


def answered(*requests: bytes) -> list[bytes]:
    """The pieces that come, the empty ones as well."""
    answers = io.BytesIO()
    child.serve(io.BytesIO(b"".join(requests)), answers)
    said = answers.getvalue().removeprefix(READY)
    pieces: list[bytes] = []
    while said:
        end = SIZE.size + SIZE.unpack_from(said)[0]
        pieces.append(said[SIZE.size : end].strip())
        said = said[end:]
    return pieces


def test_one_file_is_read_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_allow_time", lambda: None)
    office = archive(("content.xml", "<text:p>plain</text:p>"))
    pages = pdf_of_pages(b"BT (one) Tj ET", b"BT (two) Tj ET")
    assert answered(
        request(FileKind.PDF, pages),
        request(FileKind.PDF, b"no PDF"),
        request(FileKind.OFFICE, office),
    ) == [b"one", b"two", b"", b"", b"plain", b""]


def test_it_is_able_to_read() -> None:
    assert child.is_able()


def test_limits_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: dict[int, tuple[int, int]] = {}
    given_up: list[dict[int, tuple[int, int]]] = []
    monkeypatch.setattr(child.resource, "setrlimit", limits.__setitem__)
    monkeypatch.setattr(child.os, "nice", lambda _: 0)
    monkeypatch.setattr(child, "Path", lambda _: Unwritable())
    monkeypatch.setattr(child, "take_away", lambda: given_up.append(dict(limits)))
    child.confine()
    (before,) = given_up
    assert resource.RLIMIT_NOFILE not in before, "the kernel hands a descriptor out for it"
    assert limits[resource.RLIMIT_NOFILE] == (0, 0)
    assert limits[resource.RLIMIT_AS] == (child.MEMORY_BYTES_MAX,) * 2
    answered(request(FileKind.PDF, b""))
    assert limits[resource.RLIMIT_CPU][0] > child.CPU_SECONDS_MAX


@pytest.mark.parametrize("is_able", [True, False])
def test_it_serves_only_if_it_can_still_read(
    is_able: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up: list[bool] = []
    monkeypatch.setattr(child, "confine", lambda: given_up.append(True))
    monkeypatch.setattr(child, "is_able", lambda: is_able or not given_up)
    output = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    monkeypatch.setattr(sys, "stdout", output)
    child.main()
    assert output.buffer.getvalue() == (READY if is_able else b"")  # type: ignore[attr-defined]


class Unwritable:
    """A file of /proc on a system that has none."""

    def write_text(self, text: str, encoding: str) -> None:
        raise OSError(text, encoding)
