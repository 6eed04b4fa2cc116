"""Where a node is put together from its parts and its ports, and driven in turns."""
