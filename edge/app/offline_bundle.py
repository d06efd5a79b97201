"""The support bundle of a box that does not guard: from its files, with the doctor's findings or the health report."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from edge.app.doctor import Doctor
from edge.app.mail_channel import read_secret
from edge.app.state import state_path
from edge.app.support_bundle import SupportBundle
from edge.clock import SystemClock
from edge.config.load import load
from edge.config.salvage import salvage
from edge.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.clock import Clock

_TAIL = 500_000


def offline_bundle(
    config_path: Path, *, clock: Clock | None = None, health: Callable[[], Any] | None = None
) -> tuple[str, bytes]:
    """File name and content (tar.gz).

    :param health: how the box is, of a service in fault mode; None: the doctor is asked, which takes its time.
    """
    clock = clock or SystemClock()
    config = salvage(config_path)
    state_dir = state_path(config, config_path)

    def doctor() -> list[dict[str, Any]]:
        return [
            {"name": check.name, "status": check.status.label, "output": check.output, "observed": check.observed}
            for check in Doctor(config_path, clock=clock).checks()
        ]

    return SupportBundle(
        kiosk=config.kiosk.id,
        facts={
            **({"health.json": health} if health else {"doctor.json": doctor}),
            "configuration.toml": lambda: config_path.read_text(errors="replace"),
            "zones.toml": lambda: (state_dir / "zones.toml").read_text(errors="replace"),
            "incidents.log": lambda: (state_dir / "incidents.log").read_text(errors="replace")[-_TAIL:],
        },
        secrets=lambda: _secrets(config_path),
        state_dir=state_dir,
        clock=clock,
    ).make()


def _secrets(config_path: Path) -> list[str]:
    """All passwords that the configuration names, as far as they can be read."""
    files = [salvage(config_path).email.password_file]
    with contextlib.suppress(ConfigError):  # what the file holds itself is blotted out by its key
        files += [camera.password_file for camera in load(config_path).cameras]
    found = []
    for file in files:
        try:
            found.append(read_secret(config_path, file, "password_file"))
        except ConfigError:  # noqa: PERF203 - two or three files
            continue
    return [secret for secret in found if secret]
