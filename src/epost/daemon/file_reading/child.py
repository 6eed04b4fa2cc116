"""The process that reads attached files: `python -m epost.daemon.file_reading.child`.

It loads what it needs, then gives up everything else: it can open no file and no connection, start
no process, and gets so much memory and, for each file, so much time; on Linux it can do nothing but
compute (`confinement`). Whoever takes it over with a hostile file holds two pipes.
"""

from __future__ import annotations

import codecs
import os
import resource
import signal
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from epost.apps.mail.attached.kinds import FILE_CHARACTERS_MAX, FileKind
from epost.apps.mail.attached.reading import read_pieces
from epost.daemon.file_reading.confinement import take_away
from epost.daemon.file_reading.frames import (
    PIECE_BYTES_MAX,
    READY,
    REQUEST,
    SIZE,
)

MEMORY_BYTES_MAX = 512 * 1024 * 1024
CPU_SECONDS_MAX = 10
"""For one file; a page of a PDF takes about 0.05 s."""
NICENESS = 10

# Python and pypdf load some of their parts when they are first asked for, which is too late.
_CHARSETS = (
    *("charmap", "utf-16-be", "utf-16-le", "utf-32-be", "latin-1", "cp1252", "mac-roman", "cp437"),
    *("shift-jis", "euc-jp", "iso2022-jp", "cp932", "gb2312", "gbk", "gb18030", "big5", "euc-kr"),
)
_SHOWN = zlib.compress(b"BT /F1 9 Tf (able) Tj ET")
_SAMPLE = b"""%%PDF-1.7
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>
endobj
4 0 obj << /Length %d /Filter /FlateDecode >> stream
%b
endstream endobj
5 0 obj << /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >> endobj
trailer << /Root 1 0 R /Size 6 >>
startxref
0
%%%%EOF
""" % (len(_SHOWN), _SHOWN)


def main() -> None:
    """Serve until the daemon closes the pipe."""
    for charset in _CHARSETS:
        codecs.lookup(charset)
    is_loaded = is_able()
    confine()
    if is_loaded and is_able():
        serve(sys.stdin.buffer, sys.stdout.buffer)


def is_able() -> bool:
    """Whether a PDF can be read: it is when all is loaded, and must be when all is given up."""
    return "".join(read_pieces(FileKind.PDF, _SAMPLE, 100)).strip() == "able"


def confine() -> None:
    """Give up what reading does not need; for good, unless this is root."""
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError):  # Linux: where memory is short, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_AS, MEMORY_BYTES_MAX)
    _limit(resource.RLIMIT_NPROC, 0)
    take_away()
    _limit(resource.RLIMIT_NOFILE, 0)  # what is open stays open
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Read one file after the other."""
    answers.write(READY)
    answers.flush()
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        kind, size = REQUEST.unpack(head)
        octets = requests.read(size)
        _allow_time()
        for piece in read_pieces(FileKind(kind), octets, FILE_CHARACTERS_MAX):
            text = piece.encode("utf-8", "replace")[:PIECE_BYTES_MAX]
            if text:
                _answer(answers, text)
        _answer(answers, b"")


def _answer(answers: BinaryIO, text: bytes) -> None:
    """Each piece leaves at once: this process may be ended during the next."""
    answers.write(SIZE.pack(len(text)) + text)
    answers.flush()


def _allow_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS_MAX
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def _limit(what: int, most: int) -> None:
    with suppress(OSError, ValueError):  # not every system has every limit
        resource.setrlimit(what, (most, most))


if __name__ == "__main__":
    main()
