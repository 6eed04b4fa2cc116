"""A ring of storage nodes under trouble: depositors, faults, liars (`--scenario storage`)."""
