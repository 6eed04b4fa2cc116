"""Mail in the device's log: its records, what they come to, how the index follows (design 6)."""
