"""Appointing deputies and dismissing them, by the root key (crypto 3.5).

Whoever is dismissed stays in the root block, with the place in its log up to which it counts: what
it certified before goes on being valid, what it enters later is void everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from epost.crypto.certificates import (
    ISSUER_CERT,
    ISSUERS_MAX,
    ORG_CERT,
    IssuerCert,
    OrganisationTrust,
    Power,
    certify,
)
from epost.crypto.signed import open_signed, parse
from epost.crypto.signing import Kind, SigningKey
from epost.crypto.versioned import open_key_block
from epost.daemon.authority.founding import Organisation
from epost.daemon.authority.keys import RootKeys
from epost.daemon.authority.register import Register
from epost.daemon.authority.world import World
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import RefusedError
from epost.rings.appointment import POWERS, Appointment, parse_appointment
from epost.rings.policy import (
    DEFAULT_LIFETIMES,
    RemovedIssuer,
    RootContent,
    make_root_block,
    read_root_block,
)

_REACHED = "deputy reached"


@dataclass(frozen=True, slots=True)
class Issuer:
    """One daemon that issues, or did; times are milliseconds since 1970."""

    number: int
    is_deputy: bool
    until_ms: int
    log_key: str
    counts_until: int | None
    """The last entry of its log that counts, once it is dismissed."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class Deputies:
    """Who issues beside the authority itself; each change is one more root block."""

    def __init__(
        self,
        public: Organisation,
        root_keys: Callable[[], RootKeys],
        register: Register,
        world: World,
        put_in_force: Callable[[Organisation], None],
    ) -> None:
        """`root_keys` raises ConfigError if they are not here."""
        self._public = public
        self._root_keys = root_keys
        self._register = register
        self._world = world
        self._put_in_force = put_in_force

    def all(self) -> Sequence[Issuer]:
        """Return all who issue or did, the authority itself first."""
        return issuers_of(self._public)

    def appoint(self, line: str) -> int:
        """Make the machine that showed this line a deputy; return its number.

        Raises RefusedError, and ConfigError without the root key.
        """
        shown, now = parse_appointment(line), self._world.clock.wall_ms()
        public, number = appointed(self._public, self._root_keys(), shown, now)
        self._put_in_force(public)
        return number

    def dismiss(self, number: int, *, is_trusted: bool = True) -> int:
        """End a deputy; return up to which entry its log counts. Raises as `appoint`.

        So far as the log was known to have come; not at all if it `is_trusted` no more.
        """
        counts_until, now = self._reached(number) if is_trusted else 0, self._world.clock.wall_ms()
        self._put_in_force(dismissed(self._public, self._root_keys(), number, counts_until, now))
        return counts_until

    def note_reached(self, number: int, sequence: int) -> None:
        """Note how far a deputy's log has come."""
        with self._register.transaction():
            self._register.put_setting(f"{_REACHED} {number}", sequence.to_bytes(8, "big"))

    def _reached(self, number: int) -> int:
        return int.from_bytes(self._register.setting(f"{_REACHED} {number}") or b"", "big")

    def catch_up(self, root_block: bytes) -> None:
        """After a restore: go on behind the newest root block; raises PeerError, AuthenticityError.

        Deputies may have been appointed, and the own certificate prolonged, after the backup.
        """
        block, held = open_key_block(root_block), open_key_block(self._public.root_block)
        if block.body.public_key != held.body.public_key or block.order <= held.order:
            return
        root = block.body.public_key
        content = read_root_block(block, root, self._public.ring)
        own_key = _opened(self._public.issuer, root).issuer_key
        own = [data for data in content.issuers if _opened(data, root).issuer_key == own_key]
        if own:
            changed = msgspec.structs.replace(self._public, issuer=own[0], root_block=root_block)
            self._put_in_force(changed)


def issuers_of(public: Organisation) -> Sequence[Issuer]:
    """Return all who issue or did, the authority itself first."""
    root_key = open_key_block(public.root_block).body.public_key
    content = _content(public, root_key)
    removed = {r.serial: r.last_log_sequence for r in content.removed}
    return [
        Issuer(
            number=issuer.serial,
            is_deputy=not issuer.powers & Power.POLICY,
            until_ms=issuer.not_after,
            log_key=issuer.certified_log_key.hex(),
            counts_until=removed.get(issuer.serial),
        )
        for issuer in (_opened(data, root_key) for data in content.issuers)
    ]


def trust_of(public: Organisation) -> OrganisationTrust:
    """Return the organisation with all its issuers, the authority's own first."""
    root = ORG_CERT.decode(parse(public.certificate, Kind.ORG).body).organisation_key
    others = [data for data in _content(public, root).issuers if data != public.issuer]
    return OrganisationTrust(public.certificate, [public.issuer, *others])


def appointed(
    public: Organisation, root: RootKeys, shown: Appointment, now: int
) -> tuple[Organisation, int]:
    """Return the public part with one more deputy, and its number; raises RefusedError."""
    key = SigningKey(root.organisation)
    content = _content(public, key.public)
    known = [_opened(data, key.public) for data in content.issuers]
    keys = {k for i in known for k in (i.issuer_key, i.certified_log_key)}
    if keys & {shown.issuer_key, shown.certified_log_key}:
        raise RefusedError(
            "this deputy was appointed already, or dismissed: for new keys remove the folder "
            "deputy from its data folder"
        )
    if len(known) >= ISSUERS_MAX:
        raise RefusedError(f"an organisation has at most {ISSUERS_MAX} issuers, former ones too")
    number = max(issuer.serial for issuer in known) + 1
    certificate = IssuerCert(
        format=1,
        ring=public.ring,
        issuer_key=shown.issuer_key,
        certified_log_key=shown.certified_log_key,
        powers=POWERS,
        enrolment_spki_sha256=bytes(32),  # it enrols nobody, and signs no TLS certificates
        x509_ca_spki_sha256=bytes(32),
        serial=number,
        not_before=now,
        not_after=now + DEFAULT_LIFETIMES.node_days * DAY_MS,
    )
    issuers = (*content.issuers, certify(key, certificate))
    return _told(public, key, msgspec.structs.replace(content, issuers=issuers), now), number


def dismissed(
    public: Organisation, root: RootKeys, number: int, counts_until: int, now: int
) -> Organisation:
    """Return the public part without a deputy whose log counts so far; raises RefusedError."""
    key = SigningKey(root.organisation)
    content = _content(public, key.public)
    deputies = {i.number for i in issuers_of(public) if i.is_deputy}
    if number not in deputies or number in {r.serial for r in content.removed}:
        raise RefusedError(f"no deputy has the number {number}; see epost org issuers")
    removed = (*content.removed, RemovedIssuer(number, counts_until))
    return _told(public, key, msgspec.structs.replace(content, removed=removed), now)


def _told(public: Organisation, root: SigningKey, content: RootContent, now: int) -> Organisation:
    block = make_root_block(
        root,
        ring=public.ring,
        previous=open_key_block(public.root_block),
        issued_at=now,
        content=content,
    )
    return msgspec.structs.replace(public, root_block=block.data)


def _content(public: Organisation, root_key: bytes) -> RootContent:
    return read_root_block(open_key_block(public.root_block), root_key, public.ring)


def _opened(data: bytes, root_key: bytes) -> IssuerCert:
    return open_signed(data, Kind.ISSUER, root_key, ISSUER_CERT)
