"""The fake world: virtual time, simulated network and disks, faults, checkers of invariants."""
