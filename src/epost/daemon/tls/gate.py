"""Who may begin a handshake: it costs us milliseconds, and a stranger a packet (crypto 10)."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Final

from epost.daemon.tls.config import TransportConfig

NETWORKS_REMEMBERED_MAX: Final = 4096
HOSTS_KNOWN_MAX: Final = 2000
BURST_SECONDS: Final = 2.0


class RateLimit:
    """A bucket that fills at a rate and holds two seconds' worth."""

    __slots__ = ("_filled_at", "_level", "_per_second")

    def __init__(self, per_second: float, now: float) -> None:
        self._per_second = per_second
        self._level = per_second * BURST_SECONDS
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Take one if there is one."""
        full = self._per_second * BURST_SECONDS
        self._level = min(full, self._level + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


class Gate:
    """Counts handshakes that are under way, and connections of strangers per time.

    Hosts that were linked before are known: they are exempt from the rate of their network, and
    some of the places are theirs alone.
    """

    def __init__(self, config: TransportConfig, now: float) -> None:
        self._config = config
        self._under_way: dict[str, int] = {}
        self._total = 0
        self._everybody = RateLimit(config.connects_per_second, now)
        self._networks: OrderedDict[str, RateLimit] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()

    @property
    def under_way(self) -> int:
        """How many handshakes are unfinished."""
        return self._total

    def enter(self, host: str, now: float) -> bool:
        """May this host begin a handshake? If so, `leave` must follow."""
        source, network = source_and_network(host)
        is_known = host in self._known
        places = self._config.handshakes_max
        if not is_known:
            places -= self._config.handshakes_for_known
        count = self._under_way.get(source, 0)
        if self._total >= places or count >= self._config.handshakes_per_source_max:
            return False
        if not is_known and not self._network_rate(network, now).take(now):
            return False
        if not self._everybody.take(now):
            return False
        self._under_way[source] = count + 1
        self._total += 1
        return True

    def leave(self, host: str) -> None:
        """The handshake ended, well or badly."""
        source, _ = source_and_network(host)
        self._total -= 1
        self._under_way[source] -= 1
        if not self._under_way[source]:
            del self._under_way[source]

    def know(self, host: str) -> None:
        """A link with this host came up."""
        self._known[host] = None
        self._known.move_to_end(host)
        if len(self._known) > HOSTS_KNOWN_MAX:
            self._known.popitem(last=False)

    def _network_rate(self, network: str, now: float) -> RateLimit:
        rate = self._networks.pop(network, None)
        if rate is None:
            rate = RateLimit(self._config.connects_per_network_per_second, now)
        self._networks[network] = rate
        if len(self._networks) > NETWORKS_REMEMBERED_MAX:
            self._networks.popitem(last=False)
        return rate


def source_and_network(host: str) -> tuple[str, str]:
    """Return what counts as one source (/32 or /64) and as one network (/24 or /56)."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    source, network = (32, 24) if address.version == 4 else (64, 56)
    return (
        str(ipaddress.ip_network((address, source), strict=False)),
        str(ipaddress.ip_network((address, network), strict=False)),
    )
