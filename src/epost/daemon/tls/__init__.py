"""The real Transport: whole messages between nodes over TCP and mutual TLS 1.3.

A *link* carries bytes to one peer (`link`, `tls_link`); a *session* is the conversation over it
(`session`: HELLO, frames, credit, keepalive) and works over any kind of link; the *transport*
decides which sessions there are (`transport`, `dialling`, `gate`).
"""

from epost.daemon.tls.config import TransportConfig
from epost.daemon.tls.contexts import NodeIdentity
from epost.daemon.tls.hello import RingNews, RingView
from epost.daemon.tls.listening import listen
from epost.daemon.tls.transport import TlsTransport

__all__ = ["NodeIdentity", "RingNews", "RingView", "TlsTransport", "TransportConfig", "listen"]
