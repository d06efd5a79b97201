"""``kiosk-guard label``: what is glued into the box's lid: its address, its certificate's fingerprint, its token."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import socket
from typing import TYPE_CHECKING

from edge.app.build_health import certificate, own_names, token_path
from edge.app.state import as_owner, existing_state
from edge.errors import EX_OK, ConfigError, StateError
from edge.health.token import new_token, write_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config import Config


def label(
    config: Config,
    config_path: Path,
    *,
    new: bool,
    host: str,
    say: Callable[[str], object],
) -> int:
    """Print the label; the token is made here, shown this once, and only its hash is kept. Returns the exit code.

    :param new: make another token even if there is one; the old one opens nothing any more.
    :param host: name or address to print; empty: found out.
    :raises StateError: there is no state directory, or it cannot be written.
    :raises HealthError: the certificate cannot be read.
    :raises ConfigError: the endpoint is switched off.
    """
    health = config.health
    if not health.enabled:
        raise ConfigError(
            f"{config_path}: [health] enabled = false: there is no page to put on a label", hint="set enabled = true"
        )
    state_dir = existing_state(config, config_path)
    path = token_path(config, config_path, state_dir)
    token = ""
    with as_owner(state_dir):
        fingerprint = certificate(config, config_path, state_dir).fingerprint() if health.encrypted else ""
        if new or not _is_there(path):
            token = new_token()
            write_token(path, token)
    address = _address(config, host)
    if token:
        # Behind "#" stands what a browser keeps to itself: the token is in no request line and in no log.
        for line in _code(f"{address}login#{token}"):
            say(line)
    say(f"address      {address}")
    if fingerprint:
        say(f"fingerprint  {fingerprint[:48]}")
        say(f"             {fingerprint[48:]}")
        say("             (SHA-256 of the certificate: the browser warns once, compare it there)")
    if token:
        say(f"token        {token}")
        say("This is the only time the token is shown: print or write it down now. Whoever has it sees the pictures.")
    else:
        say("token        was shown when it was made and is kept nowhere; --new makes another, the old one ends then")
    if not health.for_others:
        say(f"Only this box itself can open the page: [health] host = {health.host!r} in {config_path}.")
    if health.port == 0:
        say("[health] port = 0: another port at every start; see the log of the service.")
    return EX_OK


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:
        raise StateError(
            f"the token's file {path} cannot be looked at: {error.strerror}",
            hint="Run this as root or as the service's user.",
        ) from error


def _address(config: Config, host: str) -> str:
    health = config.health
    host = host or _best_host(config)
    with contextlib.suppress(ValueError):
        host = f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    return f"{'https' if health.encrypted else 'http'}://{host}:{health.port}/"


def _best_host(config: Config) -> str:
    health = config.health
    if not health.for_others:
        return health.host
    if health.names:
        return health.names[0]
    if not ipaddress.ip_address(health.host).is_unspecified:
        return health.host
    return _outward_address() or next(iter(own_names(config)), "localhost")


def _outward_address() -> str:
    """The address with which this machine would speak to others; empty: it has none. Sends nothing."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # an address for documentation: only the routing table is asked
        return str(probe.getsockname()[0])
    return ""


def _code(text: str) -> list[str]:
    import segno  # noqa: PLC0415 - only this command needs it

    drawn = io.StringIO()
    segno.make_qr(text, error="m").terminal(drawn, compact=True)
    return drawn.getvalue().rstrip("\n").split("\n")
