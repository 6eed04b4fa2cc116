"""What the process gives up before it reads a key (crypto 9).

Files are its own, no core dump holds its memory, other processes of the same user cannot attach to
it, and nothing it starts gains rights. The service manager takes more away (packaging/).
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from typing import Final

from epost.foundation.errors import ConfigError

PRIVATE_UMASK: Final = 0o077

# Linux, <linux/prctl.h>.
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38


def give_up_privileges() -> None:
    """Call once, first thing in the daemon; there is no way back.

    Raises ConfigError if the system refuses, which only a sandbox makes it do.
    """
    os.umask(PRIVATE_UMASK)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        _set(_PR_SET_DUMPABLE, 0)
        _set(_PR_SET_NO_NEW_PRIVS, 1)


def _set(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    unused = ctypes.c_ulong(0)
    if library.prctl(option, ctypes.c_ulong(value), unused, unused, unused) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise ConfigError(f"the system does not let the process protect itself: {reason}")
