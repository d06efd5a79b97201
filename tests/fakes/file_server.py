"""A static file server over https, with bad habits."""

from __future__ import annotations

import contextlib
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_FAKES = Path(__file__).resolve().parent
CA = _FAKES / "localhost.pem"


class FileServer:
    """Files over https: ``content`` under every name but those in ``more``.

    ``cut_after``: of ``content`` the connection breaks after so many bytes, once.
    """

    def __init__(self) -> None:
        self.content = b""
        self.more: dict[str, bytes] = {}
        self.etag = '"1"'
        self.cut_after: int | None = None
        self.redirect = ""
        self.says_length = True
        self.asked: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CA, _FAKES / "localhost.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @classmethod
    @contextlib.contextmanager
    def of_a_fleet(cls, release: Path) -> Iterator[FileServer]:
        """One that has this release, the newest, for as long as the context lasts."""
        made = cls()
        made.content = release.read_bytes()
        made.more["/fleet/latest"] = f"{release.name}\n".encode()
        yield made
        made.server.shutdown()
        made.server.server_close()

    @property
    def update_conf(self) -> str:
        """A box's ``update.conf`` that names this server."""
        return f"[update]\nurl = https://localhost:{self.server.server_port}/fleet/\nca_file = {CA}\n"

    @property
    def url(self) -> str:
        return f"https://localhost:{self.server.server_port}/kiosk.tar.gz"

    def answer(self, to: BaseHTTPRequestHandler) -> None:
        headers = {k.lower(): v for k, v in to.headers.items()}
        self.asked.append(headers)
        to.close_connection = True
        if self.redirect:
            to.send_response(302)
            to.send_header("Location", self.redirect)
            to.send_header("Content-Length", "0")
            to.end_headers()
            self.redirect = ""
            return
        if headers.get("if-none-match") == self.etag:
            to.send_response(304)
            to.end_headers()
            return
        content, begin = self.more.get(to.path, self.content), 0
        if "range" in headers and headers.get("if-range", self.etag) == self.etag:
            begin = int(headers["range"].removeprefix("bytes=").rstrip("-"))
            to.send_response(206)
            to.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            to.send_response(200)
        to.send_header("ETag", self.etag)
        if self.says_length:
            to.send_header("Content-Length", str(len(content) - begin))
        to.end_headers()
        part = content[begin:]
        if self.cut_after is not None and content is self.content:
            part, self.cut_after = part[: self.cut_after], None
        to.wfile.write(part)
