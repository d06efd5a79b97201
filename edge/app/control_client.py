"""What a command says to the running service, over the control socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from typing import TYPE_CHECKING, Any

from edge.app.control_socket import SOCKET_NAME, short_path
from edge.errors import EX_NOPERM, EX_UNAVAILABLE, KioskError

if TYPE_CHECKING:
    from pathlib import Path


class ServiceDown(KioskError):  # noqa: N818 - the state it states
    """No service answers."""

    exit_code = EX_UNAVAILABLE


class NotAllowed(KioskError):  # noqa: N818 - the state it states
    """The service runs, but does not hear this user."""

    exit_code = EX_NOPERM


class Refused(KioskError):  # noqa: N818 - the state it states
    """The service has answered that it does not do that, and why."""

    exit_code = EX_UNAVAILABLE


class ControlClient:
    """Asks the service that runs on a state directory.

    :param timeout_s: for each request.
    """

    def __init__(self, state_dir: Path, *, timeout_s: float = 15.0) -> None:
        self._path = state_dir / SOCKET_NAME
        self._timeout_s = timeout_s

    def get(self, path: str) -> Any:
        """The answer's JSON. :raises ServiceDown, NotAllowed, Refused: there is none."""
        return json.loads(self.fetch("GET", path)[1])

    def post(self, path: str, **body: object) -> Any:
        """The same, with a JSON body."""
        return json.loads(self.fetch("POST", path, body)[1])

    def health(self) -> dict[str, Any]:
        """The health report, whatever its verdict."""
        answer: dict[str, Any] = json.loads(self.fetch("GET", "/health", failing=(503,))[1])
        return answer

    def fetch(
        self, method: str, path: str, body: object = None, *, failing: tuple[int, ...] = ()
    ) -> tuple[http.client.HTTPMessage, bytes]:
        """Headers and content.

        :param failing: statuses of failure that are an answer all the same.
        """
        connection = _UnixConnection(self._path, self._timeout_s)
        headers = {"Host": "localhost", "Connection": "close", "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body)
        try:
            with contextlib.suppress(BrokenPipeError):  # it may answer before it has read all of it
                connection.request(method, path, text, headers)
            answer = connection.getresponse()
            content = answer.read()
        except FileNotFoundError:
            raise self._down("there is no control socket") from None
        except PermissionError:
            raise NotAllowed(
                f"{self._path}: this user may not command the service", hint="try with sudo, or as its group's member"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._down(str(error) or type(error).__name__) from None
        finally:
            connection.close()
        if answer.status >= 400 and answer.status not in failing:
            raise _refusal(answer.status, content)
        return answer.headers, content

    def _down(self, why: str) -> ServiceDown:
        return ServiceDown(
            f"the service does not answer at {self._path}: {why}",
            hint="Does it run? See `systemctl status kiosk-guard`, then `journalctl -u kiosk-guard`.",
        )


def _refusal(status: int, content: bytes) -> Refused:
    try:
        words = json.loads(content)
        return Refused(str(words["error"]), hint=str(words.get("hint", "")))
    except (ValueError, KeyError, TypeError):
        return Refused(f"the service answers {status}", hint="read its log")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with short_path(self._path) as short:
            self.sock.connect(short)
