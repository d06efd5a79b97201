"""A box for a technician to try: the installed service on the committed clip, a token, a mail server that can refuse."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from e2e.appliance_process import CLIP, Process, toml
from fakes.mailserver import Mailbox, mail_server

from edge.health.token import new_token, write_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass
class Box:
    """``mailbox`` is its desk's."""

    process: Process
    url: str
    token: str
    state: Path
    mailbox: Mailbox

    def ask(self, method: str, path: str, *, token: str | None = None, **options: Any) -> httpx.Response:
        """With the token, unless another (or "", none) is given."""
        shown = self.token if token is None else token
        headers = {"Authorization": f"Bearer {shown}"} if shown else {}
        return httpx.request(method, self.url + path, headers=headers, timeout=30, trust_env=False, **options)

    def told(self, path: str) -> Any:
        """The JSON that is answered."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def running_box(
    command: Path,
    folder: Path,
    *,
    secret: str = "",
    source: str = "",
    more: Mapping[str, Mapping[str, Any]] | None = None,
    guards: bool = True,
) -> Iterator[Box]:
    """Start it, and end it with the block.

    :param secret: the mail password.
    :param source: of the camera, instead of the committed clip; ``more``: keys by table, beside those here.
    :param guards: wait until it does; False: it begins in fault mode.
    """
    state = folder / "state"
    state.mkdir(exist_ok=True)
    token = new_token()
    write_token(state / "health.token", token)
    (folder / "mail-password").write_text(secret)
    with mail_server(login=("kiosk", secret) if secret else None) as (mailbox, mail_port):
        tables: dict[str, dict[str, Any]] = {
            "kiosk": {"id": "main-street-1", "site": "Main Street branch"},
            "rules.loitering": {"dwell_s": 8.0},
            "rules.restricted_area": {"dwell_s": 0.5},
            "incidents": {"close_after_s": 2.0, "cooldown_s": 1.0},
            "outputs": {"driver": "mock"},
            "outputs.lines.siren": {"pin": 17, "severities": ["high"], "max_on_s": 5.0},
            "outputs.lines.led": {"pin": 27},
            "email": {
                "enabled": True,
                "host": "127.0.0.1",
                "port": mail_port,
                "security": "none",
                "sender": "kiosk@kiosk.example",
                "recipients": ["security-desk@bank.example"],
                "timeout_s": 5.0,
                **({"user": "kiosk", "password_file": "mail-password"} if secret else {}),
            },
            "health": {"port": 0},
            "state": {"dir": "state"},
        }
        for name, table in (more or {}).items():
            tables[name] = {**tables.get(name, {}), **table}
        loop = "" if source else "loop = true\n"
        text = f'[[cameras]]\nname = "lobby"\nsource = {toml(source or str(CLIP))}\nmax_fps = 5.0\n{loop}'
        for name, table in tables.items():
            text += f"\n[{name}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in table.items())
        (folder / "kiosk-guard.toml").write_text(text)
        process = Process(command, folder / "kiosk-guard.toml", *([] if guards else ["--service"]))
        try:
            port = process.wait_for("health_up", timeout_s=120.0)["port"]
            box = Box(process, f"http://127.0.0.1:{port}", token, state, mailbox)
            until_s = time.monotonic() + 60.0
            while guards and box.ask("GET", "/readyz").status_code != 200:  # the first picture is judged
                assert time.monotonic() < until_s, box.ask("GET", "/readyz?verbose").text
                time.sleep(0.1)
            yield box
        finally:
            process.end()
