"""`python -m epost.daemon run --data-dir DIR`: the daemon without the command line's weight."""

import argparse
import sys
from pathlib import Path

from epost.daemon.process import run_daemon

parser = argparse.ArgumentParser(prog="python -m epost.daemon")
parser.add_argument("command", choices=["run"])
parser.add_argument("--data-dir", type=Path, required=True)
sys.exit(run_daemon(parser.parse_args().data_dir))
