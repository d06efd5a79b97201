"""Where a password is read from: beside the configuration, or where systemd hands it in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.app.mail_channel import read_secret
from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

KEY = "email: password_file"


def test_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mail-password").write_text("s3cret\n")
    assert read_secret(tmp_path / "kiosk-guard.toml", "mail-password", KEY) == "s3cret"


def test_none_named(tmp_path: Path) -> None:
    assert read_secret(tmp_path / "kiosk-guard.toml", "", KEY) == ""


def test_from_the_service_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "handed-in").mkdir()
    (tmp_path / "handed-in" / "mail-password").write_text("handed in\n")
    (tmp_path / "mail-password").write_text("root's own\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "handed-in"))
    named = "$CREDENTIALS_DIRECTORY/mail-password"
    assert read_secret(tmp_path / "kiosk-guard.toml", named, KEY) == "handed in"
    # A command of root's finds the file that the unit hands in.
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert read_secret(tmp_path / "kiosk-guard.toml", named, KEY) == "root's own"


def test_a_missing_file_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"email: password_file: .*mail-password cannot be read: No such file"):
        read_secret(tmp_path / "kiosk-guard.toml", "mail-password", KEY)
