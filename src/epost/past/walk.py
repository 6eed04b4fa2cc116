"""Going through the rows of some roles a page at a time, for ever."""

from __future__ import annotations

from collections.abc import Sequence

from epost.foundation.ids import Handle
from epost.foundation.ports import Role, Vault, VaultEntry


class RoleWalk:
    """Remembers where the last page ended; roles come one after the other."""

    def __init__(self, vault: Vault, roles: Sequence[Role], page_rows: int) -> None:
        self._vault = vault
        self._roles = roles
        self._page_rows = page_rows
        self.restart()

    def restart(self) -> None:
        """Begin anew with the first role."""
        self._at = 0
        self._after: Handle | None = None

    def next_page(self) -> tuple[Sequence[VaultEntry], bool]:
        """Return the next rows, and whether there are more in this pass.

        A row of several of the roles comes with each of them.
        """
        role = self._roles[self._at]
        page = self._vault.entries_with(role, after=self._after, limit=self._page_rows)
        if len(page) == self._page_rows:
            self._after = page[-1].handle
            return page, True
        self._after = None
        self._at = (self._at + 1) % len(self._roles)
        return page, self._at > 0
