"""When a client is hung up on for what it says."""

from __future__ import annotations

from epost.servers.access import Forbearance


def verdicts(*commands: tuple[bool, bool]) -> list[str | None]:
    forbearance = Forbearance(bad_commands_max=2, commands_before_login_max=3)
    return [forbearance.judge(is_bad=bad, is_logged_in=user) for bad, user in commands]


def test_bad_commands_count_only_in_a_row() -> None:
    good, bad = (False, True), (True, True)
    assert verdicts(bad, good, bad, bad) == [None, None, None, "Too many bad commands"]


def test_who_talks_without_logging_in_is_told_to_log_in_sooner() -> None:
    nobody, user = (False, False), (False, True)
    assert verdicts(nobody, nobody, nobody) == [None, None, "Please log in sooner"]
    assert verdicts(nobody, nobody, *[user] * 9)[-1] is None
