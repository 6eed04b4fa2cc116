"""What the daemon gives up: seen from inside a process of its own, since there is no way back."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from epost.daemon import privileges
from epost.foundation.errors import ConfigError

SCRIPT = """
import ctypes, json, os, resource, sys
from epost.daemon.privileges import give_up_privileges

give_up_privileges()
give_up_privileges()
print(json.dumps({
    "umask": os.umask(0),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if sys.platform == "linux" else 0,
    "no_new_privs": ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) if sys.platform == "linux" else 1,
}))
"""


def test_files_are_private_memory_is_not_dumped_and_no_rights_are_gained() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], check=True, capture_output=True, timeout=30
    )
    assert json.loads(done.stdout) == {
        "umask": 0o077,
        "core": [0, 0],
        "dumpable": 0,
        "no_new_privs": 1,
    }


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_system_that_refuses_is_an_error_for_the_operator() -> None:
    with pytest.raises(ConfigError, match="protect itself"):
        privileges._set(4, 77)
