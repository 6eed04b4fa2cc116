"""The vault on a local disk: an index and small bodies in SQLite, large bodies as files."""

from epost.daemon.vault.vault import SqliteVault

__all__ = ["SqliteVault"]
