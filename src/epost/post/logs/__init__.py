"""Single-writer logs: the device's own, those of its siblings, and snapshots (POST 3.4)."""
