"""How long a server puts up with a client that talks nonsense, or talks without logging in."""

from __future__ import annotations


class Forbearance:
    """Counts the commands of one connection."""

    def __init__(self, *, bad_commands_max: int, commands_before_login_max: int) -> None:
        self._bad_commands_max = bad_commands_max
        self._commands_before_login_max = commands_before_login_max
        self._bad_in_a_row = 0
        self._before_login = 0

    def judge(self, *, is_bad: bool, is_logged_in: bool) -> str | None:
        """Return why the client is hung up on after one more command, None if it is not."""
        self._bad_in_a_row = self._bad_in_a_row + 1 if is_bad else 0
        self._before_login += not is_logged_in
        if self._bad_in_a_row >= self._bad_commands_max:
            return "Too many bad commands"
        if not is_logged_in and self._before_login >= self._commands_before_login_max:
            return "Please log in sooner"
        return None
