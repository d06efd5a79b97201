"""The control socket: the health port's own application, for processes of this machine that root or the group may run."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import HealthError
from edge.health.access import LOCAL_PEER, Peer
from edge.health.listener import short_protocol
from edge.health.quiet import QuietServer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Mapping

    from starlette.types import ASGIApp
    from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

SOCKET_NAME = "control.sock"
_SO_PEERGROUPS = 59  # Linux: the peer's supplementary groups
_MOST_GROUPS = 1024
_START_S = 10.0
_STOP_S = 5.0
_MAX_CONNECTION_S = 60.0


class ControlSocket:
    """Serves on a Unix socket, in a thread of its own.

    :param folder: where the socket is made: the unit's runtime directory, else the state directory.
    :param state_dir: gets a link to it: where commands look, whatever the unit says.
    """

    def __init__(self, application: ASGIApp, *, folder: Path, state_dir: Path) -> None:
        self._path = folder / SOCKET_NAME
        self._link = state_dir / SOCKET_NAME
        self._server = QuietServer(application, http=_peer_protocol(), most=32)
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def path(self) -> Path:
        return self._path

    @property
    def due_s(self) -> float:
        """Monotonic time by which the server's loop moves again unless it hangs."""
        return self._server.due_s

    def start(self) -> None:
        """:raises HealthError: the socket cannot be made."""
        try:
            self._socket = self._bind()
        except OSError as error:
            raise HealthError(
                f"the control socket {self._path} cannot be made: {error.strerror}",
                hint="its folder must belong to the service's user",
            ) from error
        self._thread = threading.Thread(target=self._serve, args=(self._socket,), name="control", daemon=True)
        self._thread.start()
        if not self._server.up.wait(_START_S) or not self._server.started:
            self.stop()
            raise HealthError(f"the control socket {self._path} does not come up", hint="read the log for the reason")

    def stop(self) -> None:
        """Serve no more; may be called twice, or without ``start``."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_STOP_S)
        if self._socket is not None:
            self._socket.close()
            with contextlib.suppress(OSError):  # (the link stays: see _point)
                self._path.unlink()
            self._socket = None

    def _bind(self) -> socket.socket:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._path.unlink(missing_ok=True)  # of a service that was killed; this one holds the state's lock
            with short_path(self._path) as short:
                listening.bind(short)
            self._path.chmod(0o660)
            listening.listen(32)
        except OSError:
            listening.close()
            raise
        self._point()
        return listening

    def _point(self) -> None:
        """The link. On a disk that can no longer be written the one of last time does; without any the socket still serves."""
        if self._link == self._path or (self._link.is_symlink() and self._link.readlink() == self._path):
            return
        try:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self._path)
        except OSError as error:
            log.warning(
                "commands do not find %s: %s cannot be made: %s",
                self._path,
                self._link,
                error.strerror,
                extra={"kg": {"event": "control_link_failed", "error": str(error)}},
            )

    def _serve(self, listening: socket.socket) -> None:
        try:
            self._server.run([listening])
        except Exception:  # the end of a thread, where nobody else would tell; guarding goes on
            log.exception("the control socket died", extra={"kg": {"event": "control_died"}})
        finally:
            self._server.up.set()


def open_control(application: ASGIApp, state_dir: Path, stack: contextlib.ExitStack) -> ControlSocket | None:
    """The control socket, served until ``stack`` ends; without it the box guards all the same, and the log says why."""
    control = ControlSocket(application, folder=socket_folder(state_dir), state_dir=state_dir)
    try:
        control.start()
    except HealthError as error:
        log.error(error.message, extra={"kg": {"event": "control_failed", "error": error.message}})  # noqa: TRY400
        return None
    stack.callback(control.stop)
    return control


def socket_folder(state_dir: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the socket belongs: the runtime directory that systemd made, else the state directory."""
    made = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(made) if made else state_dir


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """The same file under a name that fits into a socket's address, which takes 107 bytes. :raises OSError: no folder."""
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def peer_of(connection: socket.socket) -> tuple[Peer, set[int]]:
    """Who is at the other end, and its groups, as the kernel knows them."""
    pid, uid, gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    groups = {gid}
    with contextlib.suppress(OSError):
        packed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
        groups |= set(struct.unpack(f"{len(packed) // 4}i", packed))
    return Peer(uid=uid, pid=pid), groups


def may_command(peer: Peer, groups: set[int]) -> bool:
    """Root, the service's own user, and whoever is in its group."""
    return peer.uid in (0, os.geteuid()) or os.getegid() in groups


def _peer_protocol() -> type[H11Protocol]:
    class PeerProtocol(short_protocol(_MAX_CONNECTION_S)):  # type: ignore[misc]
        app_state: dict[str, object]

        def connection_made(self, transport: asyncio.Transport) -> None:
            peer, groups = peer_of(transport.get_extra_info("socket"))
            if may_command(peer, groups):
                self.app_state = {**self.app_state, LOCAL_PEER: peer}
                super().connection_made(transport)
            else:
                log.warning(
                    f"user {peer.uid} may not use the control socket",
                    extra={"kg": {"event": "control_refused", "uid": peer.uid, "pid": peer.pid}},
                )
                super().connection_made(transport)
                transport.abort()

    return PeerProtocol
