"""Groups: trees on the overlay along which a message reaches every member (Scribe)."""
