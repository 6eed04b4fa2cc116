"""Files are read in a process of their own: it starts, reads, suffers and ends."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from epost.apps.mail.attached.kinds import FileKind
from epost.daemon.file_reading.reader import FILES_PER_PROCESS_MAX, FileReadingProcess
from epost.foundation.errors import UnavailableError
from tests.support.attached_files import archive, pdf, pdf_object

HELLO = pdf(b"BT /F1 12 Tf (Hello) Tj ET")


def saying(*lines: str) -> tuple[str, ...]:
    """A process that says it is ready, then does something else than ours."""
    script = (
        "import os, sys, time",
        "say = lambda octets: os.write(1, octets)",
        "say(b'R')",
        "os.read(0, 1)",
        *lines,
    )
    return (sys.executable, "-S", "-c", "\n".join(script))


def test_our_process_reads_one_file_after_the_other_whatever_they_are() -> None:
    hostile = (
        b"",
        b"%PDF-1.7\n" + bytes(range(256)) * 100,
        pdf(b"BT (x) Tj ET " * 6_000_000),  # a bomb
        pdf(b"[" * 1_000_000),
        pdf_object(4, b"<< /Type /Catalog /Pages 5 0 R >>")
        + pdf_object(5, b"<< /Type /Pages /Kids [5 0 R 5 0 R] /Count 1000000 >>")
        + b"trailer << /Root 4 0 R >>\nstartxref\n0\n%%EOF\n",
    )

    async def story() -> None:
        read = FileReadingProcess()
        assert read.pid is None, "it starts when there is work"
        try:
            for octets in hostile:
                await read(FileKind.PDF, octets)
                assert (await read(FileKind.PDF, HELLO)).strip() == "Hello"
            office = archive(("content.xml", "<text:p>plain</text:p>"))
            assert (await read(FileKind.OFFICE, office)).strip() == "plain"
            if sys.platform == "linux":
                files = Path(f"/proc/{read.pid}/fd").iterdir()
                assert sorted(file.name for file in files) == ["0", "1", "2"]
        finally:
            await read.close()
        assert read.pid is None

    asyncio.run(story())


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["say(b'\\0\\0\\0\\5first')", "time.sleep(600)"], 2.0),
        (["say(b'\\0\\0\\0\\5first')", "sys.exit(1)"], 60.0),
        (["say(b'\\0\\0\\0\\5first' + b'\\xff' * 4)", "time.sleep(600)"], 60.0),
    ],
    ids=["takes for ever", "dies", "says too much"],
)
def test_what_was_found_until_a_process_failed_is_the_text(
    lines: list[str], seconds: float
) -> None:
    async def story() -> None:
        read = FileReadingProcess(command=saying(*lines), read_seconds_max=seconds)
        assert await read(FileKind.PDF, HELLO) == "first"
        assert read.pid is None, "the next file is read by another process"
        await read.close()

    asyncio.run(story())


def test_a_process_that_does_not_start_leaves_the_files_for_later() -> None:
    async def story() -> None:
        for command in ((sys.executable, "-S", "-c", ""), ("/nowhere/python",)):
            read = FileReadingProcess(command=command)
            with pytest.raises(UnavailableError):
                await read(FileKind.PDF, HELLO)
            assert read.pid is None

    asyncio.run(story())


def test_a_process_ends_when_it_has_nothing_to_do() -> None:
    async def story() -> None:
        answering = saying("say(b'\\0\\0\\0\\0')", "time.sleep(60)")
        read = FileReadingProcess(command=answering, idle_seconds=0.0)
        await read(FileKind.PDF, HELLO)
        pid = read.pid
        assert pid is not None
        while read.pid is not None:
            await asyncio.sleep(0)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    asyncio.run(story())


def test_a_process_ends_after_many_files() -> None:
    async def story() -> None:
        answering = saying(f"say(b'\\0\\0\\0\\0' * {2 * FILES_PER_PROCESS_MAX})", "time.sleep(60)")
        read = FileReadingProcess(command=answering)
        for _ in range(FILES_PER_PROCESS_MAX - 1):
            await read(FileKind.PDF, b"")
        assert read.pid is not None
        await read(FileKind.PDF, b"")
        assert read.pid is None
        await read.close()

    asyncio.run(story())
