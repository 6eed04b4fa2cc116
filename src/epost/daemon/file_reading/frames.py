"""What the daemon and the process that reads files say to each other over two pipes.

The process says READY, then for every request (kind, size and octets of a file) pieces of text,
each behind its size, until one of size 0. It is no promise to anybody: both ends are one program.
"""

from __future__ import annotations

import struct

from epost.apps.mail.attached.kinds import FILE_CHARACTERS_MAX

READY = b"R"
REQUEST = struct.Struct("!BI")
SIZE = struct.Struct("!I")
PIECE_BYTES_MAX = 4 * FILE_CHARACTERS_MAX
