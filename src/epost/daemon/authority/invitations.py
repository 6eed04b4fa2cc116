"""Invitations: made by the administrator, burned by the request that uses them (crypto 3.8)."""

from __future__ import annotations

from epost.daemon.authority.register import Register
from epost.daemon.authority.register_rows import InviteRow
from epost.daemon.authority.world import World
from epost.foundation.errors import NotPermitted
from epost.foundation.ids import Address
from epost.rings.enrolment import DeviceRequest, Request, StorageRequest
from epost.rings.invite import LIFETIME_MS_MAX, Invite, token_hash

TOKEN_BYTES = 16


class Invitations:
    """Makes them and finds them again; the register keeps hashes of their tokens only."""

    def __init__(self, register: Register, world: World) -> None:
        self._register = register
        self._world = world

    def make(self, name: str | None, authority: bytes, at: Address, *, is_device: bool) -> str:
        """Return the line for a user (or, None, for a machine that only stores).

        `authority` is the fingerprint that it pins, `at` where its holder enrols.
        """
        token = self._world.entropy.token(TOKEN_BYTES)
        expires_at = self._world.clock.wall_ms() + LIFETIME_MS_MAX
        self._register.add_invite(token_hash(token), name, expires_at, is_device=is_device)
        return str(Invite(authority, token, expires_at, (at,), name or ""))

    def used_by(self, request: Request, now: int) -> InviteRow | None:
        """Return what was issued under the request's token.

        An account invites one more machine of its own by signing for it: `open_request` has
        verified that, and certifying asks whose account it is and how many machines she has.
        """
        hashed = token_hash(request.token)
        invite = self._register.invite(hashed)
        if invite is None and isinstance(request, DeviceRequest):
            expires_at = now + LIFETIME_MS_MAX
            self._register.add_invite(hashed, request.name, expires_at, is_device=True)
            invite = self._register.invite(hashed)
        return invite


def require_invited(request: Request, invite: InviteRow | None) -> None:
    """Raise NotPermitted unless the invitation is for what is requested."""
    name = None if isinstance(request, StorageRequest) else request.name
    if invite is None or invite.name != name:
        raise NotPermitted("no such invitation")
    if invite.is_device != isinstance(request, DeviceRequest):
        raise NotPermitted(
            f"{name} has an account: this invitation is for one more machine of hers. Use it with "
            "epost recover, and the 24 words"
            if invite.is_device
            else f"this invitation is for a new account of {name}. Use it with epost join"
        )
