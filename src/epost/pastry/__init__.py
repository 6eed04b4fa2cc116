"""The overlay: a ring of nodes that finds, for any key, the live node closest to it (Pastry)."""
