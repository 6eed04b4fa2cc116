"""The app passwords of a node's account, as records from which no password can be had.

The command line edits the file, the daemon notices by its time stamp: no restart, no message.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from epost.daemon.files import read_required, write_private
from epost.foundation.errors import ConfigError
from epost.servers.access import AccountPasswords, AppPassword, Scope, issue_app_password
from epost.servers.access.passwords import PASSWORDS_PER_ACCOUNT_MAX, ScramRecord, canonical_login

FILE_NAME = "passwords"
FORMER_NAMES_MAX = 64
NAME_LENGTH_MAX = 100
"""Of a mail program, as its user calls it."""
REMEDY = "This folder is not a user's node: epost join makes one."


class _Row(msgspec.Struct, array_like=True, frozen=True):
    application: str
    scope: str
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


class _File(msgspec.Struct, array_like=True, frozen=True):
    format: int
    account: str
    server_secret: bytes
    rows: tuple[_Row, ...]
    former: tuple[str, ...] = ()
    """Names that the account had before; programs that know one of them go on with it."""


class PasswordFile:
    """Reads and writes the file; also the `PasswordBook` of the listeners."""

    def __init__(self, data_dir: Path) -> None:
        """`data_dir` is the node's folder."""
        self._path = data_dir / FILE_NAME
        self._stamp: tuple[int, int] | None = None
        self._cached: _File | None = None

    def create(self, account: str) -> None:
        """Begin with no passwords for an account."""
        self._write(_File(1, account, secrets.token_bytes(32), ()))

    def add(self, application: str, scope: Scope = Scope.MAIL) -> str:
        """Make a password for a program and return it; a second one replaces the first.

        `scope` is MAIL, READ_ONLY or SUBMIT. Raises ConfigError if there are too many, or for what
        is no name that a list can show.
        """
        if not application.strip() or len(application) > NAME_LENGTH_MAX:
            raise ConfigError(f"name the program in 1 to {NAME_LENGTH_MAX} letters: thunderbird")
        if not application.isprintable():
            raise ConfigError(f"{application!r} cannot be shown: name the program in plain letters")
        file = self._read()
        rows = tuple(r for r in file.rows if r.application != application)
        if len(rows) >= PASSWORDS_PER_ACCOUNT_MAX:
            raise ConfigError("too many passwords; remove one: epost password revoke NAME")
        issued = issue_app_password(
            entropy=secrets.token_bytes,
            server_secret=file.server_secret,
            account=file.account,
            application=application,
            scope=scope,
        )
        record = issued.password.record
        row = _Row(
            application,
            scope.value,
            record.salt,
            record.iterations,
            record.stored_key,
            record.server_key,
        )
        self._write(msgspec.structs.replace(file, rows=(*rows, row)))
        return issued.token

    def rename(self, account: str) -> str | None:
        """Go on under the name that the account has now; return the former one if it is another."""
        file = self._read()
        if file.account == account:
            return None
        former = tuple(n for n in (file.account, *file.former) if n != account)
        kept = former[:FORMER_NAMES_MAX]
        self._write(msgspec.structs.replace(file, account=account, former=kept))
        return file.account

    def remove(self, application: str) -> None:
        """Take a password back; raises ConfigError if there is none of that name."""
        file = self._read()
        rows = tuple(r for r in file.rows if r.application != application)
        if len(rows) == len(file.rows):
            raise ConfigError(f"no password for {application!r}: see epost password list")
        self._write(msgspec.structs.replace(file, rows=rows))

    def scopes(self) -> Sequence[tuple[str, Scope]]:
        """Return the programs that have a password, and what each is good for."""
        return [(row.application, Scope(row.scope)) for row in self._read().rows]

    @property
    def account(self) -> str:
        """Whose passwords these are."""
        return self._read().account

    @property
    def server_secret(self) -> bytes:
        """What salts are derived from, so that unknown accounts look like known ones."""
        return self._read().server_secret

    def passwords_of(self, login: str) -> AccountPasswords | None:
        """Return the account that a login name means (the whole address, or its local part).

        Names that the account had before are as good: the settings of mail programs go on.
        """
        file = self._read()
        names = [canonical_login(name) for name in (file.account, *file.former)]
        if login not in names and login not in [name.partition("@")[0] for name in names]:
            return None
        return AccountPasswords(file.account, tuple(_password(row) for row in file.rows))

    def _read(self) -> _File:
        try:
            status = self._path.stat()
        except FileNotFoundError as error:
            raise ConfigError(f"{self._path} does not exist. {REMEDY}") from error
        stamp = (status.st_mtime_ns, status.st_ino)
        if self._cached is None or stamp != self._stamp:
            try:
                data = read_required(self._path, REMEDY)
                self._cached = msgspec.msgpack.decode(data, type=_File)
            except (msgspec.ValidationError, msgspec.DecodeError) as error:
                raise ConfigError(f"{self._path}: damaged; {REMEDY}") from error
            self._stamp = stamp
        return self._cached

    def _write(self, file: _File) -> None:
        write_private(self._path, msgspec.msgpack.encode(file))


def _password(row: _Row) -> AppPassword:
    record = ScramRecord(row.salt, row.iterations, row.stored_key, row.server_key)
    return AppPassword(row.application, Scope(row.scope), record)
