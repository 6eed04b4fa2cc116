"""Keeps this device in the epoch of the organisation's secret that the policy names (crypto 5.5).

While it has an older one it stores attachments for its own account alone. It asks the daemons
that issue, one of which an anycast finds, and believes only the secret that the policy commits to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from epost.crypto.signing import SigningKey
from epost.foundation.errors import (
    AuthenticityError,
    PeerError,
    RefusedError,
    UnavailableError,
    UntrustedCertificate,
)
from epost.foundation.ports import Clock, Observer
from epost.node.assembly import Node
from epost.node.issuing_daemons import AskingConfig, ask_issuing_daemons
from epost.node.observed import (
    OrganisationSecretAdopted,
    OrganisationSecretFalse,
    OrganisationSecretMissing,
)
from epost.post.accounts.devices import Device
from epost.post.accounts.keyring import EpochSecret
from epost.rings.policy import Policy
from epost.rings.secret_request import SecretRequest, open_secret_answer, sign_secret_request


@dataclass(frozen=True, slots=True)
class SecretKeepingConfig:
    """Times in seconds."""

    look_seconds: float = 30.0
    """How soon a new epoch is noticed."""
    asking: AskingConfig = field(default_factory=AskingConfig)


class SecretKeeping:
    """The story of one machine; `keep_current` runs for as long as its node."""

    def __init__(
        self,
        node: Node,
        node_certificate: Callable[[], bytes],
        key: SigningKey,
        *,
        clock: Clock,
        observer: Observer,
        config: SecretKeepingConfig | None = None,
    ) -> None:
        """`node_certificate` is the newest of the machine, `key` the one that it certifies."""
        self._node = node
        self._node_certificate = node_certificate
        self._key = key
        self._clock = clock
        self._observer = observer
        self._config = config or SecretKeepingConfig()
        self._failures = 0

    async def keep_current(self) -> None:
        """Look at the policy now and then; a machine without a user has nothing to do."""
        if (device := self._node.device) is None:
            return
        while True:
            await asyncio.sleep(self._pause())
            policy = self._node.issuers.policy
            if device.organisation_epoch < policy.secret_epoch:
                await self._try_to_follow(device, policy)

    def _pause(self) -> float:
        if not self._failures:
            return self._config.look_seconds
        return self._config.asking.pause_after(self._failures)

    async def _try_to_follow(self, device: Device, policy: Policy) -> None:
        epoch = policy.secret_epoch
        try:
            secret = await self._ask(device, policy)
        except (AuthenticityError, PeerError, RefusedError, UnavailableError) as error:
            self._failures += 1
            self._observer.record(OrganisationSecretMissing(epoch, self._failures, str(error)))
            if isinstance(error, UntrustedCertificate):
                self._observer.record(OrganisationSecretFalse(epoch))
            return
        await self._node.adopt_secret(EpochSecret(epoch, secret))
        self._failures = 0
        self._observer.record(OrganisationSecretAdopted(epoch))

    async def _ask(self, device: Device, policy: Policy) -> bytes:
        request = sign_secret_request(
            SecretRequest(
                format=1,
                ring=self._node.issuers.trust.ring,
                node=self._node_certificate(),
                device=device.secrets.certificate,
                sealing_key=device.sealing_key,
                at=self._clock.wall_ms(),
            ),
            self._key,
        )
        answer = await ask_issuing_daemons(self._node, request, self._config.asking)
        seed = device.secrets.sealing_seed
        return open_secret_answer(answer, request, seed, policy, self._node.sealing)
