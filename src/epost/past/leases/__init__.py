"""Leases of blocks: when they are over, the trash, and space that is really freed (design 8)."""
