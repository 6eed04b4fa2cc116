"""The organisation's own ring: who belongs to it, what its authority says, scope of insertions."""
