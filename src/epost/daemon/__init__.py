"""The real world: configuration, keys on disk, TLS links, SQLite vault, listeners, the demo."""
