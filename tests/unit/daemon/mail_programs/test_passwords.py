"""App passwords on disk: made once, taken back at once, never readable."""

from pathlib import Path

import pytest

from epost.daemon.mail_programs.passwords import PasswordFile
from epost.foundation.errors import ConfigError
from epost.servers.access import Scope
from epost.servers.access.passwords import derive_record


def test_a_password_is_added_used_and_removed_without_a_restart(tmp_path: Path) -> None:
    daemon, command_line = PasswordFile(tmp_path), PasswordFile(tmp_path)
    command_line.create("alice@example.org")
    assert daemon.passwords_of("alice@example.org").passwords == ()
    token = command_line.add("mutt")
    for login in ("alice@example.org", "alice"):
        (password,) = daemon.passwords_of(login).passwords
        record = password.record
        assert derive_record(token, record.salt, record.iterations) == record
    assert daemon.passwords_of("bob@example.org") is None
    assert token.encode() not in (tmp_path / "passwords").read_bytes()
    command_line.remove("mutt")
    assert daemon.passwords_of("alice").passwords == ()


def test_a_second_password_of_a_program_replaces_the_first(tmp_path: Path) -> None:
    file = PasswordFile(tmp_path)
    file.create("alice@example.org")
    assert file.add("mutt") != file.add("mutt")
    assert [name for name, _ in file.scopes()] == ["mutt"]


def test_mistakes_say_what_to_do(tmp_path: Path) -> None:
    file = PasswordFile(tmp_path)
    with pytest.raises(ConfigError, match="epost join"):
        file.scopes()
    file.create("alice@example.org")
    with pytest.raises(ConfigError, match="epost password list"):
        file.remove("mutt")
    for name in ("", "  ", "x" * 101, "two\nlines"):
        with pytest.raises(ConfigError, match="name the program"):
            file.add(name)
    assert file.scopes() == []
    (tmp_path / "passwords").write_bytes(b"garbage")
    with pytest.raises(ConfigError, match="damaged"):
        PasswordFile(tmp_path).scopes()


def test_each_password_is_good_for_what_it_was_made_for(tmp_path: Path) -> None:
    file = PasswordFile(tmp_path)
    file.create("alice@example.org")
    file.add("mutt")
    file.add("archive", Scope.READ_ONLY)
    file.add("printer", Scope.SUBMIT)
    assert file.scopes() == [
        ("mutt", Scope.MAIL),
        ("archive", Scope.READ_ONLY),
        ("printer", Scope.SUBMIT),
    ]
    assert file.account == "alice@example.org"


@pytest.mark.parametrize(
    ("scope", "doors"),
    [
        (Scope.MAIL, {Scope.MAIL, Scope.SUBMIT}),
        (Scope.READ_ONLY, {Scope.MAIL, Scope.READ_ONLY}),
        (Scope.SUBMIT, {Scope.SUBMIT}),
        (Scope.CALENDAR, {Scope.CALENDAR}),
    ],
)
def test_a_scope_opens_its_doors(scope: Scope, doors: set[Scope]) -> None:
    assert {door for door in Scope if scope.opens(door)} == doors


def test_after_a_change_of_name_programs_log_in_by_the_new_and_by_the_former_one(
    tmp_path: Path,
) -> None:
    file = PasswordFile(tmp_path)
    file.create("alice@example.org")
    token = file.add("mutt")
    assert file.rename("alice@example.org") is None
    assert file.rename("smith@example.org") == "alice@example.org"
    assert PasswordFile(tmp_path).account == "smith@example.org"
    for login in ("alice@example.org", "alice", "smith@example.org", "smith"):
        known = file.passwords_of(login)
        assert known is not None
        assert known.account == "smith@example.org"
        record = known.passwords[0].record
        assert derive_record(token, record.salt, record.iterations) == record
    assert file.passwords_of("bob@example.org") is None
