"""What the service tells systemd (sd_notify): one datagram a message to the socket that the unit's process is given."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_STATUS = 300  # characters; `systemctl status` shows one line


class Notifier:
    """Tells the service manager, if there is one; what cannot be told is not missed.

    :param address: a socket's path, "@name" for an abstract one, "": nobody listens.
    :param watchdog_s: the manager kills a service that is silent for so long; None: it does not watch.
    """

    def __init__(self, address: str = "", *, watchdog_s: float | None = None) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_s = watchdog_s

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Notifier:
        """As the manager says in ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``."""
        usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        mine = not pid or pid == str(os.getpid())
        return cls(
            environ.get("NOTIFY_SOCKET", ""),
            watchdog_s=int(usec) / 1e6 if usec.isdigit() and int(usec) and mine else None,
        )

    @property
    def heard(self) -> bool:
        """Whether there is a service manager."""
        return bool(self._address)

    def ready(self) -> None:
        self._tell("READY=1")

    def alive(self) -> None:
        self._tell("WATCHDOG=1")

    def hung(self) -> None:
        """Ask to be killed and started again, now."""
        self._tell("WATCHDOG=trigger")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def status(self, words: str) -> None:
        """The line that ``systemctl status`` shows."""
        self._tell("STATUS=" + " ".join(words.split())[:_MAX_STATUS])

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.setblocking(False)  # noqa: FBT003 - the library's signature
                line.sendto(message.encode(), self._address)
        except OSError:  # it is told again at the next turn
            return
