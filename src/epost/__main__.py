"""`python -m epost`: the same as the `epost` command."""

from epost.cli import main

main()
