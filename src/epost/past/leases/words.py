"""What replicas say to each other about leases (Application.PAST, notifications)."""

from __future__ import annotations

import msgspec

from epost.foundation.ids import U63
from epost.past.messages import Handles


class Prolong(msgspec.Struct, tag=48, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Somebody still wants these: keep them until then (ms since 1970), at least."""

    handles: Handles
    until: U63
