"""What Linux can take away from the process that reads files, beside limits on resources.

Without file descriptors a process can still delete, rename and truncate files by their names, end
and throttle other processes of its user, and become another program. Two parts of the kernel forbid
that, and neither needs a library: Landlock (all files, connections and signals out of reach) and
seccomp (no system call but the few that computing needs). Both are for good, and neither is
everywhere: whatever is missing, the rest still holds.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

# <linux/prctl.h>, <linux/seccomp.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_SIGKILL = 9

# <linux/landlock.h>; the numbers of these calls are the same on every kind of machine.
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_VERSION = 1
_FILE_RIGHTS_BY_VERSION = (0, 13, 14, 15, 15, 16)
"""How many rights on files each version knows; all newer ones know at least those of the last."""
_BIND_AND_CONNECT = 0b11
_SIGNALS_AND_ABSTRACT_SOCKETS = 0b11

# <linux/filter.h>: what a filter is made of, and where it finds the call.
_LOAD = 0x20
_IF_EQUAL = 0x15
_RETURN = 0x06
_ALLOW = 0x7FFF_0000
_REFUSE = 0x0005_0000 | errno.EPERM
_AT_CALL, _AT_MACHINE, _AT_FIRST_ARGUMENT = 0, 4, 16

_CALLS = (
    *("read", "write", "readv", "writev", "close", "fstat", "lseek"),
    *("mmap", "mprotect", "munmap", "mremap", "brk", "madvise", "futex"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
    *("getpid", "gettid", "sched_yield", "getrusage", "clock_gettime", "gettimeofday"),
    *("getrandom", "exit", "exit_group"),
)


@dataclass(frozen=True, slots=True)
class _Machine:
    """How one kind of machine numbers its system calls, in the order of _CALLS.

    Limits may be set as well (`prlimit64`), but only those of the process itself.
    """

    audit_name: int
    calls: Sequence[int]
    set_limit: int


_X86_64 = _Machine(
    0xC000_003E,
    (
        *(0, 1, 19, 20, 3, 5, 8),
        *(9, 10, 11, 25, 12, 28, 202),
        *(13, 14, 15, 131, 219),
        *(39, 186, 24, 98, 228, 96),
        *(318, 60, 231),
    ),
    302,
)
_AARCH64 = _Machine(
    0xC000_00B7,
    (
        *(63, 64, 65, 66, 57, 80, 62),
        *(222, 226, 215, 216, 214, 233, 98),
        *(134, 135, 139, 132, 128),
        *(172, 178, 124, 165, 113, 169),
        *(278, 93, 94),
    ),
    261,
)
_MACHINES = {"x86_64": _X86_64, "aarch64": _AARCH64}


@dataclass(frozen=True, slots=True)
class Confinement:
    """What could be taken away."""

    files: bool
    calls: bool


def take_away() -> Confinement:
    """Leave this process computing, and the descriptors that it has; there is no way back.

    Nothing is taken away where the system has no such thing. Two limits stay the caller's: those
    of descriptors, of which this needs one for a moment, and of memory and time.
    """
    if sys.platform != "linux":
        return Confinement(files=False, calls=False)
    library = ctypes.CDLL(None, use_errno=True)
    _control(library, _PR_SET_PDEATHSIG, _SIGKILL)
    if not _control(library, _PR_SET_NO_NEW_PRIVS, 1):
        return Confinement(files=False, calls=False)
    files = _forbid_files(library)
    return Confinement(files, calls=_forbid_calls(library))


def _control(library: ctypes.CDLL, option: int, value: int, address: object = 0) -> bool:
    unused = ctypes.c_ulong(0)
    last = address or unused
    return bool(library.prctl(option, ctypes.c_ulong(value), last, unused, unused) == 0)


def _forbid_files(library: ctypes.CDLL) -> bool:
    """Handle every right there is and grant none."""
    call = library.syscall
    version = call(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_VERSION)
    if version < 1:
        return False
    rights = (1 << _FILE_RIGHTS_BY_VERSION[min(version, len(_FILE_RIGHTS_BY_VERSION) - 1)]) - 1
    asked = struct.pack("=Q", rights)
    if version >= 4:
        asked += struct.pack("=Q", _BIND_AND_CONNECT)
    if version >= 6:
        asked += struct.pack("=Q", _SIGNALS_AND_ABSTRACT_SOCKETS)
    ruleset = call(_LANDLOCK_CREATE_RULESET, asked, ctypes.c_size_t(len(asked)), 0)
    if ruleset < 0:
        return False
    try:
        return bool(call(_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _forbid_calls(library: ctypes.CDLL) -> bool:
    """Refuse every call that is not needed, by an error: a library may try one and go on."""
    machine = _MACHINES.get(os.uname().machine)
    if machine is None or sys.maxsize < 1 << 32 or sys.byteorder != "little":
        return False
    filter_ = _filter(machine)
    code = ctypes.create_string_buffer(filter_, len(filter_))
    length = len(filter_) // _INSTRUCTION.size
    # struct sock_fprog: a length, and after some padding where the instructions are.
    program = struct.pack("@HP", length, ctypes.addressof(code))
    return _control(library, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(program))


_INSTRUCTION = struct.Struct("=HBBI")
"""Code, how many instructions to jump over if so and if not, operand."""


def _filter(machine: _Machine) -> bytes:
    """Return a program that says of each call whether it is allowed."""
    own_limits = [
        (_IF_EQUAL, 0, 3, machine.set_limit),
        (_LOAD, 0, 0, _AT_FIRST_ARGUMENT),
        (_IF_EQUAL, len(machine.calls) + 2, 0, 0),  # this process
        (_RETURN, 0, 0, _REFUSE),
    ]
    known = [
        (_IF_EQUAL, len(machine.calls) - number, 0, call)
        for number, call in enumerate(machine.calls)
    ]
    program = [
        (_LOAD, 0, 0, _AT_MACHINE),
        (_IF_EQUAL, 1, 0, machine.audit_name),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _AT_CALL),
        *own_limits,
        *known,
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)
