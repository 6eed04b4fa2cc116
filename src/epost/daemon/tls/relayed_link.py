"""A link through a relay: TLS between the two ends, so the relay sees and changes nothing.

The handshake and the certificates are those of a direct link. A relay can only delay, drop or
garble, and what is garbled ends the link.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from epost.daemon.tls.dialling import SERVER_NAME
from epost.daemon.tls.frames import U32
from epost.daemon.tls.link import LinkEvents
from epost.daemon.tls.relay_frames import (
    RELAYED_DATA_BYTES,
    TUNNEL_WINDOW_BYTES,
    Step,
    TunnelStep,
    Way,
)
from epost.foundation.errors import Unreachable
from epost.foundation.ids import NodeId

READ_BYTES: Final = 64 * 1024
CREDIT_BYTES_MIN: Final = TUNNEL_WINDOW_BYTES // 4
"""Credit is given back in such portions."""


class RelayedLink:
    """One end of a tunnel (Link); `secured` is done when its TLS handshake is."""

    def __init__(
        self,
        way: Way,
        context: ssl.SSLContext,
        carry: Callable[[NodeId, TunnelStep], None],
        on_closed: Callable[[RelayedLink], None],
        *,
        opened_by_us: bool,
    ) -> None:
        """`carry(relay, step)` has the relay pass a step on to the far end."""
        self._loop = asyncio.get_running_loop()
        self.way = way
        self._carry = carry
        self._on_closed = on_closed
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=not opened_by_us,
            server_hostname=SERVER_NAME if opened_by_us else None,
        )
        self.secured: asyncio.Future[None] = self._loop.create_future()
        self._events: LinkEvents | None = None
        self._waiting = bytearray()
        self._window = TUNNEL_WINDOW_BYTES
        self._owed = 0
        self._tail = b""
        self._is_paused = False
        self._is_congested = False
        self._lost: str | None = None

    @property
    def leaf(self) -> bytes:
        """The peer's DER certificate."""
        leaf = self._tls.getpeercert(binary_form=True)
        assert leaf is not None, "the context demands a certificate"
        return leaf

    # From the relay.

    def begin(self) -> None:
        """Say the first word of the handshake; only of the end that opened the tunnel."""
        self._step(Step.OPEN)
        self._advance()

    def on_data(self, data: bytes) -> None:
        """Take octets of the far end."""
        self._owed += len(data)
        if self._owed > TUNNEL_WINDOW_BYTES:
            self._finish("more than there was credit for")
            return
        self._incoming.write(data)
        self._advance()

    def on_credit(self, size: int) -> None:
        """Send more of what waits."""
        self._window += size
        if self._window > TUNNEL_WINDOW_BYTES:
            self._finish("more credit than the window")
        else:
            self._flush()

    def on_end(self, text: str) -> None:
        """The relay, or the far end, ends the tunnel."""
        self._lose(text)

    # Link.

    def attach(self, events: LinkEvents) -> None:
        if self._lost is not None:
            events.on_lost(self._lost)
            return
        self._events = events
        self._loop.call_soon(self._advance)

    def write(self, data: bytes) -> None:
        if self._lost is None and data:
            self._tls.write(data)
            self._flush()

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self._loop.call_soon(self._advance)

    def close(self) -> None:
        self._finish("closed")

    def abort(self) -> None:
        self._finish("aborted")

    # Inside.

    def _advance(self) -> None:
        """Go on with the handshake, then with reading, as far as the octets that are there lead."""
        if self._lost is not None or self._is_paused:
            return
        try:
            if not self.secured.done():
                self._tls.do_handshake()
                self.secured.set_result(None)
            self._read()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self._flush()  # the alert that tells the far end
            self._finish(f"TLS through the relay failed: {error.reason}")
            return
        self._flush()
        self._give_credit()

    def _read(self) -> None:
        while self._events is not None and not self._is_paused and self._lost is None:
            data = self._tail + self._tls.read(READ_BYTES)
            used = self._events.on_bytes(memoryview(data))
            self._tail = data[used:]

    def _give_credit(self) -> None:
        if self._owed >= CREDIT_BYTES_MIN and not self._is_paused and self._lost is None:
            self._step(Step.CREDIT, U32.pack(self._owed))
            self._owed = 0

    def _flush(self) -> None:
        self._waiting += self._outgoing.read()
        while self._waiting and self._window and self._lost is None:
            size = min(RELAYED_DATA_BYTES, self._window)
            part = bytes(self._waiting[:size])
            del self._waiting[:size]
            self._window -= len(part)
            self._step(Step.DATA, part)
        is_congested = bool(self._waiting)
        if is_congested != self._is_congested and self._events is not None:
            self._is_congested = is_congested
            self._events.on_congested(is_congested)

    def _step(self, step: Step, data: bytes = b"") -> None:
        self._carry(self.way.relay, TunnelStep(step, self.way.far, self.way.tunnel, data))

    def _finish(self, text: str) -> None:
        if self._lost is None:
            self._step(Step.END, text.encode()[:RELAYED_DATA_BYTES])
            self._lose(text)

    def _lose(self, text: str) -> None:
        if self._lost is not None:
            return
        self._lost = text
        self._on_closed(self)
        if not self.secured.done():
            self.secured.set_exception(Unreachable(text))
            self.secured.exception()  # whoever waits hears it; if nobody does, that is all right
        events, self._events = self._events, None  # or each holds the other, and the state of TLS
        if events is not None:
            self._loop.call_soon(events.on_lost, text)
