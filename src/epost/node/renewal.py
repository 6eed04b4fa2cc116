"""Keeps the certificates of this machine, and of its user, in force (crypto 3.10).

From the day they are due it asks the daemons that issue, one of which an anycast finds; an
authority that is away costs nothing until the certificates end. What was renewed is kept by the
owner (a folder in the daemon), shown on new links, and the account's certificate is published.

A machine that is given its account's certificate as that of a former name finds the one of the
present name in the ring (docs/decisions/0055): so does every machine of the account by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from epost.crypto.certificates import (
    AccountCert,
    NodeCert,
    Power,
    recall_account,
    recall_node,
)
from epost.crypto.signing import SigningKey
from epost.foundation.errors import (
    AuthenticityError,
    ConfigError,
    EpostError,
    NotPermitted,
    PeerError,
    PeerRefused,
    RefusedError,
    UnavailableError,
    UntrustedCertificate,
)
from epost.foundation.ids import BlockKind
from epost.foundation.ports import Clock, Observer
from epost.node.assembly import Node
from epost.node.issuing_daemons import AskingConfig, ask_issuing_daemons
from epost.node.key_following import KeyFollowing
from epost.node.observed import AccountRenamed, CertificatesRenewed, RenewalFailed
from epost.past.blocks import certificate_handle
from epost.rings.renewal import (
    WARNED_BEFORE_MS,
    FullRequest,
    Granted,
    Renewed,
    check_renewal,
    due_ms,
    sign_full_renewal,
    sign_renewal,
)

AskDirectly = Callable[[bytes], Awaitable[bytes]]
"""Asks the authority at its enrolment port; raises EpostError."""


class Standing(Protocol):
    """Where a machine's certificates are kept; signed, as they travel."""

    @property
    def node_certificate(self) -> bytes:
        """The newest certificate of the machine."""
        ...

    @property
    def account_certificate(self) -> bytes:
        """The newest certificate of its user's account; empty if it only stores."""
        ...

    @property
    def x509_authorities(self) -> tuple[bytes, ...]:
        """Those that links are verified by, the one of the own leaf first; DER."""
        ...

    @property
    def x509_leaf(self) -> bytes:
        """The machine's ticket to TLS, DER."""
        ...

    def install(self, renewed: Renewed) -> None:
        """Keep renewed certificates durably, then show them on new links."""


@dataclass(frozen=True, slots=True)
class RenewalConfig:
    """Times in seconds."""

    first_look_seconds: float = 5.0
    """After the start: the ring is not reached before."""
    look_seconds: float = 3600.0
    policy_look_seconds: float = 30.0
    """How soon it is noticed that members were given other quotas."""
    asking: AskingConfig = field(default_factory=AskingConfig)
    directly_after: int = 2
    """So many failures over the ring in a row, then the enrolment port is tried as well."""


@dataclass(frozen=True, slots=True)
class Validity:
    """How long the certificates are good for, and why they were not renewed the last time."""

    machine_until_ms: int
    account_until_ms: int | None
    is_due: bool
    is_warned: bool
    failure: str
    is_denied: bool
    keys_failure: str = ""
    """Why this machine does not sign under the account's later keys, which there are."""


class Renewal:
    """The story of one machine; `keep_renewing` runs for as long as its node."""

    def __init__(
        self,
        node: Node,
        standing: Standing,
        key: SigningKey,
        *,
        clock: Clock,
        observer: Observer,
        ask_directly: AskDirectly | None = None,
        config: RenewalConfig | None = None,
    ) -> None:
        """`key` is the node's; `ask_directly` serves machines whose certificate has ended."""
        self._node = node
        self._standing = standing
        self._key = key
        self._clock = clock
        self._observer = observer
        self._ask_directly = ask_directly
        self._config = config or RenewalConfig()
        self._keys = KeyFollowing(node, observer)
        self._failures = 0
        self._failure = ""
        self._is_denied = False
        self._class_changes = 0
        """Those that the authority was last asked after; all of them after a start."""

    async def keep_renewing(self) -> None:
        """Look every hour whether it is time; after a failure sooner, then less and less often."""
        await asyncio.sleep(self._config.first_look_seconds)
        while True:
            changes = self._node.issuers.policy.class_changes
            if self._is_due() or changes != self._class_changes:
                await self._try_to_renew()
                if not self._failures and self._knows_quotas():
                    self._class_changes = changes
            await self._follow_key()
            await self._follow_name()
            await self._publish_account()
            await self._rest()

    def validity(self) -> Validity:
        """Return how things stand."""
        node, account = self._certificates()
        now = self._clock.wall_ms()
        ends = [(node.not_before, node.not_after)]
        ends += [(account.not_before, account.not_after)] if account else []
        return Validity(
            machine_until_ms=node.not_after,
            account_until_ms=account.not_after if account else None,
            is_due=now >= due_ms(node, account),
            is_warned=any(
                now >= until - min(WARNED_BEFORE_MS, (until - since) // 3) for since, until in ends
            ),
            failure=self._failure,
            is_denied=self._is_denied,
            keys_failure=self._keys.failure if self._keys.is_awaited else "",
        )

    @property
    def quota_class(self) -> int:
        """Which of the policy's quotas is this member's, by the newest certificate."""
        return self._certificates()[0].quota_class

    def _certificates(self) -> tuple[NodeCert, AccountCert | None]:
        node = recall_node(self._standing.node_certificate)
        data = self._standing.account_certificate
        account = recall_account(data) if data else None
        return node, account

    def _is_due(self) -> bool:
        node, account = self._certificates()
        is_void = any(self._node.issuers.is_void(c) for c in (node, account) if c is not None)
        return is_void or self._clock.wall_ms() >= due_ms(node, account)

    def _knows_quotas(self) -> bool:
        """Did an issuer renew that has the say in quotas? A deputy gives the class as it was."""
        serial = self._certificates()[0].issuer
        issuers = self._node.issuers.trust.issuers
        return any(i.serial == serial and i.powers & Power.POLICY for i in issuers)

    async def _rest(self) -> None:
        """Sleep until the next look; after a success also until other quotas are given."""
        clock, policy_look = self._clock, self._config.policy_look_seconds
        until = clock.now() + self._pause()
        while (left := until - clock.now()) > 0:
            await asyncio.sleep(min(left, policy_look))
            changes = self._node.issuers.policy.class_changes
            if not self._failures and changes != self._class_changes:
                return

    def _pause(self) -> float:
        if not self._failures:
            is_awaited = self._awaited_name() is not None or self._keys.is_awaited
            return self._config.asking.pause_after(1) if is_awaited else self._config.look_seconds
        return self._config.asking.pause_after(self._failures)

    async def _try_to_renew(self) -> None:
        try:
            renewed = await self._ask()
        except (AuthenticityError, PeerError, RefusedError, UnavailableError, ConfigError) as error:
            self._failures += 1
            self._failure, self._is_denied = _in_words(error), isinstance(error, NotPermitted)
            self._observer.record(RenewalFailed(self._failures, str(error)))
            return
        self._install(renewed)
        self._failures, self._failure, self._is_denied = 0, "", False
        self._observer.record(CertificatesRenewed(renewed.node.id, renewed.node.not_after))

    def _install(self, renewed: Renewed) -> None:
        before = self._certificates()[1]
        self._standing.install(renewed)
        self._node.renew(self._standing.node_certificate, self._standing.account_certificate)
        after = renewed.account
        if before is not None and after is not None and after.name != before.name:
            self._observer.record(AccountRenamed(after.name, before.name))

    async def _follow_key(self) -> None:
        """Go on under the account's later keys, once this machine is found certified by them."""
        await self._keys.follow()
        device = self._node.device
        if device is None or device.account_certificate == self._standing.account_certificate:
            return
        # Also if the machine died before this was written.
        data = device.account_certificate
        self._install(self._with_account(recall_account(data), data))

    def _awaited_name(self) -> str | None:
        """Return the name that the account has now, if its certificate is of a former one."""
        account = self._certificates()[1]
        if account is None or account.present_name == account.name:
            return None
        return account.present_name

    async def _follow_name(self) -> None:
        """Go on under the account's present name, once its certificate is found in the ring."""
        present = self._certificates()[1]
        if present is None or (name := self._awaited_name()) is None:
            return
        await self._node.ready()
        with suppress(UnavailableError):
            reading = await self._node.blocks.lookup_latest(certificate_handle(name))
            if reading.block is None:
                return
            try:
                account = self._own_under(name, present, reading.block)
            except (AuthenticityError, PeerError) as error:
                self._observer.record(RenewalFailed(1, f"{name}: {error}"))
                return
            self._install(self._with_account(account, reading.block))

    def _own_under(self, name: str, present: AccountCert, data: bytes) -> AccountCert:
        """Verify the certificate of the own account under its new name."""
        issuers = self._node.issuers
        account = issuers.trust.verify_account(data, self._clock.wall_ms())
        if account.name != name or issuers.is_account_revoked(data, account):
            raise UntrustedCertificate("not the certificate in force of that name")
        if not account.succeeds(present):
            raise UntrustedCertificate("the certificate of somebody else")
        return account

    def _with_account(self, account: AccountCert, data: bytes) -> Renewed:
        standing = self._standing
        granted = Granted(
            standing.node_certificate, data, standing.x509_authorities, standing.x509_leaf
        )
        return Renewed(self._certificates()[0], account, granted)

    async def _ask(self) -> Renewed:
        # Now with all that a deputy needs, now as daemons of the first version understand it.
        request = self._request() if self._failures % 2 else self._full_request()
        try:
            answer = await ask_issuing_daemons(self._node, request, self._config.asking)
            return self._checked(answer)
        except EpostError:
            if self._ask_directly is None or self._failures < self._config.directly_after:
                raise
        return self._checked(await self._ask_directly(self._request()))

    def _request(self) -> bytes:
        ring, now = self._node.issuers.trust.ring, self._clock.wall_ms()
        return sign_renewal(self._standing.node_certificate, ring, self._key, now)

    def _full_request(self) -> bytes:
        standing = self._standing
        request = FullRequest(
            format=2,
            ring=self._node.issuers.trust.ring,
            node=standing.node_certificate,
            account=standing.account_certificate,
            x509_authorities=standing.x509_authorities,
            x509_leaf=standing.x509_leaf,
            at=self._clock.wall_ms(),
        )
        return sign_full_renewal(request, self._key)

    def _checked(self, answer: bytes) -> Renewed:
        node, account = self._certificates()
        now = self._clock.wall_ms()
        renewed = check_renewal(answer, node, account, self._node.issuers.trust, now)
        if now >= due_ms(renewed.node, renewed.account):
            raise UntrustedCertificate("the answer renews nothing")
        if account is None or renewed.account is None:
            return renewed
        is_later = renewed.account.generation > account.generation
        if is_later:
            self._keys.hear_of(renewed.account)
        if is_later or renewed.account.is_former_name_of(account):
            # What is in force here is the own one until the other is found in the ring.
            granted = msgspec.structs.replace(
                renewed.granted, account=self._standing.account_certificate
            )
            return Renewed(renewed.node, account, granted)
        return renewed

    async def _publish_account(self) -> None:
        """Bring the account's newest certificate into the ring, unless it is there."""
        _, account = self._certificates()
        if account is None or self._node.post is None:
            return
        await self._node.ready()
        known = self._node.vault.entry(certificate_handle(account.name))
        if known is None or known.version < account.version:
            with suppress(RefusedError, UnavailableError, AuthenticityError):
                await self._node.blocks.insert(
                    BlockKind.CERTIFICATE, self._standing.account_certificate
                )


def _in_words(error: EpostError) -> str:
    if isinstance(error, NotPermitted):
        return str(error)
    if isinstance(error, UnavailableError | PeerRefused):
        return "no machine that issues certificates could be reached"
    return f"the answer did not hold: {error}"
