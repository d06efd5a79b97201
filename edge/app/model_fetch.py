"""``kiosk-guard model fetch``: what a timer runs on a fleet, with any static file server at the other end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge.app.model_commands import install
from edge.app.state import as_owner, existing_state
from edge.config import resolve
from edge.errors import EX_OK, ConfigError, KioskError, ManifestError
from edge.models.durable import Disk
from edge.models.fetch import fetch, shown
from edge.models.incoming import BundleUnreadable
from edge.models.store import FOLDER, ModelRefused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config import Config

_FOLDER = ".fetch"
_SEEN = "seen.json"


def fetch_and_install(
    config: Config, config_path: Path, url: str, *, force: bool, by: str, say: Callable[[str], object]
) -> int:
    """Get the bundle at ``url``, or at the configured address, and install it if it is new; returns the exit code.

    A version that was refused here is not fetched again until the server has another one, or ``force`` says so.

    :raises KioskError: it cannot be had, or is refused.
    """
    url = url or config.model.fetch_url
    if not url:
        raise ConfigError(f"{config_path}: [model] fetch_url is empty", hint="set it, or name an https:// address")
    state_dir = existing_state(config, config_path)
    folder, disk = state_dir / FOLDER / _FOLDER, Disk()
    seen_path = folder / _SEEN
    with as_owner(state_dir):
        folder.parent.mkdir(mode=0o750, exist_ok=True)
        seen = _read(seen_path) if not force else {}
        got = fetch(
            url,
            folder,
            disk=disk,
            max_bytes=int(config.model.fetch_max_mb * 1_000_000),
            known_tag=seen.get("tag", "") if seen.get("url") == url else "",
            ca_file=resolve(config_path, config.model.fetch_ca_file) if config.model.fetch_ca_file else None,
        )
    if got is None:
        refused = seen.get("refused", "")
        say(f"{shown(url)}: nothing new{f'; what is there was refused: {refused}' if refused else ''}")
        return EX_OK
    refused = ""
    try:
        return install(config, config_path, got.path, force=force, by=f"{by}, from {shown(url)}", say=say)
    except (ModelRefused, ManifestError, BundleUnreadable) as error:
        refused = error.message.splitlines()[0]
        raise
    except KioskError:  # not the bundle's fault: the next attempt may install it
        got = None
        raise
    finally:
        if got is not None:
            with as_owner(state_dir):
                told = {"url": url, "tag": got.tag, "refused": refused}
                disk.replace(seen_path, json.dumps(told).encode())
                disk.unlink(got.path)


def _read(path: Path) -> dict[str, str]:
    try:
        return {k: v for k, v in json.loads(path.read_bytes()).items() if isinstance(v, str)}
    except (OSError, ValueError, AttributeError):
        return {}
