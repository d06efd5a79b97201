"""Who may ask: the local peer of the control socket, and which paths a stranger on this very machine may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Scope

# The server of the control socket puts a Peer under this key into the connection's ``scope["state"]`` (uvicorn copies
# a protocol's ``app_state`` there). Nothing that travels over a network can set it.
LOCAL_PEER = "kiosk_guard.local_peer"


@dataclass(frozen=True, slots=True)
class Peer:
    """Another process of this machine, as the kernel names it (SO_PEERCRED); the socket's server has let it in.

    Such a request needs no token and no host name, and no browser can have been tricked into sending it.
    """

    uid: int
    pid: int


def local_peer(scope: Scope) -> Peer | None:
    """Whose request this is, when it came through the control socket."""
    found = scope.get("state", {}).get(LOCAL_PEER)
    return found if isinstance(found, Peer) else None
