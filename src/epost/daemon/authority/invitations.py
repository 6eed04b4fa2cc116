"""What an invitation is good for."""

from __future__ import annotations

from epost.daemon.authority.register import InviteRow
from epost.foundation.errors import NotPermitted
from epost.rings.enrolment import DeviceRequest, Request, StorageRequest


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
