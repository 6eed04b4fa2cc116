"""The mail index on disk, in one encrypted SQLite database (crypto 9)."""
