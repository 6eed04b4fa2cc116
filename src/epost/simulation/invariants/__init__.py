"""What the simulator checks: promises of the whole system, by what its nodes do and tell."""
