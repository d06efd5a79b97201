"""The health endpoint as the configuration wants it: token, TLS, names; for the service, for fault mode, for the label."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING

from edge import __version__
from edge.config import Config, resolve
from edge.health.metrics import Figures
from edge.health.server import HealthServer
from edge.health.tls import CertificateFiles, make_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from starlette.routing import BaseRoute

    from edge.clock import Clock
    from edge.config.tables import Health
    from edge.health.interface import HealthSource

log = logging.getLogger(__name__)

TOKEN_NAME, CERTIFICATE_NAME, KEY_NAME = "health.token", "health.crt", "health.key"


def build_health(
    config: Config,
    config_path: Path,
    *,
    state_dir: Path,
    source: HealthSource,
    clock: Clock,
    figures: Callable[[], Figures] = Figures,
    more_routes: Sequence[BaseRoute] = (),
    glance_paths: Collection[str] = (),
) -> HealthServer:
    """The server, not yet started.

    :param state_dir: where token and certificate are kept if the configuration names no other place.
    :raises HealthError: a certificate that it names cannot be used.
    :raises StateError: one of the box's own cannot be made.
    """
    health = config.health
    if health.for_others:
        _warn(health, token_path(config, config_path, state_dir))
    return HealthServer(
        source,
        host=health.host,
        port=health.port,
        version=__version__,
        clock=clock,
        allowed_hosts=own_names(config),
        tls=certificate(config, config_path, state_dir).context() if health.encrypted else None,
        token_file=token_path(config, config_path, state_dir),
        figures=figures,
        more_routes=more_routes,
        glance_paths=glance_paths,
    )


def _warn(health: Health, token: Path) -> None:
    where = f"the health endpoint is open to the network ({health.host} port {health.port})"
    if not token.is_file():
        words = f'{where} and lets nobody in: no token was made. Run "kiosk-guard label"'
        log.warning(words, extra={"kg": {"event": "no_token"}})
    if not health.encrypted:
        words = f'{where} in clear: whoever listens there learns the token. Set [health] tls = "auto"'
        log.warning(words, extra={"kg": {"event": "no_tls"}})


def token_path(config: Config, config_path: Path, state_dir: Path) -> Path:
    """Where the token's hash is kept."""
    named = config.health.token_file
    return resolve(config_path, named) if named else state_dir / TOKEN_NAME


def certificate(config: Config, config_path: Path, state_dir: Path) -> CertificateFiles:
    """The certificate that is named, or the box's own, made if it is not there.

    :raises StateError: it cannot be made.
    """
    health = config.health
    if health.cert_file:
        return CertificateFiles(resolve(config_path, health.cert_file), resolve(config_path, health.key_file))
    files = CertificateFiles(state_dir / CERTIFICATE_NAME, state_dir / KEY_NAME)
    if not files.exist():
        addresses = {config.health.host} - {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
        make_certificate(files, names=[*own_names(config), *sorted(addresses | {"localhost", "127.0.0.1", "::1"})])
    return files


def own_names(config: Config) -> list[str]:
    """Under which host names this box is called, the best one first."""
    name = socket.gethostname()
    found = [*config.health.names, *([name, f"{name}.local"] if _is_host_name(name) else [])]
    return list(dict.fromkeys(found))


def _is_host_name(text: str) -> bool:
    return bool(text) and len(text) <= 63 and all(c.isascii() and (c.isalnum() or c in "-.") for c in text)
