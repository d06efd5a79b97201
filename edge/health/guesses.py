"""How often wrong tokens may be tried: slow for the one who guesses, never for ever for the one who mistyped."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LATELY_S = 600.0


class Guesses:
    """Counts failures only, by address and in all; both are forgotten at a steady rate.

    When the whole network guesses, an address that has not failed lately still has one try: a flood of guesses does
    not keep the technician out. Not safe for threads: used by one event loop.

    :param now_s: monotonic seconds.
    :param burst: failures of one address before it must wait; ``every_s``: then one more each so many seconds.
    :param burst_in_all, every_s_in_all: the same for all addresses together.
    :param addresses: how many are remembered; the longest unused is forgotten first.
    """

    def __init__(
        self,
        *,
        now_s: Callable[[], float],
        burst: int = 5,
        every_s: float = 10.0,
        burst_in_all: int = 60,
        every_s_in_all: float = 1.0,
        addresses: int = 1024,
    ) -> None:
        self._now_s = now_s
        self._burst = burst
        self._every_s = every_s
        self._burst_in_all = burst_in_all
        self._every_s_in_all = every_s_in_all
        self._at_most = addresses
        self._owed_until_s: OrderedDict[str, float] = OrderedDict()  # address -> when its failures are forgotten
        self._owed_until_s_in_all = 0.0

    def wait_s(self, address: str) -> float:
        """How long this address must wait before it may try; 0: now."""
        now_s, who = self._now_s(), _network(address)
        owed_s = self._owed_until_s.get(who, -math.inf) - now_s
        if owed_s < -_LATELY_S:
            return 0.0
        own_s = owed_s - (self._burst - 1) * self._every_s
        in_all_s = self._owed_until_s_in_all - now_s - (self._burst_in_all - 1) * self._every_s_in_all
        return max(own_s, in_all_s, 0.0)

    def failed(self, address: str) -> None:
        """A wrong token came from there."""
        now_s, who = self._now_s(), _network(address)
        self._owed_until_s[who] = max(self._owed_until_s.pop(who, 0.0), now_s) + self._every_s
        if len(self._owed_until_s) > self._at_most:
            self._owed_until_s.popitem(last=False)
        self._owed_until_s_in_all = max(self._owed_until_s_in_all, now_s) + self._every_s_in_all

    def succeeded(self, address: str) -> None:
        """The right token came from there: its mistypings are forgiven."""
        self._owed_until_s.pop(_network(address), None)


def _network(address: str) -> str:
    """Who is counted as one: an IPv4 address, or the /64 in which an IPv6 host picks its addresses freely."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
