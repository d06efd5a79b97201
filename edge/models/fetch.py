"""A bundle from any static file server: https only, bounded, and going on where the last attempt was cut off."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.errors import EX_UNAVAILABLE, KioskError, StateError

if TYPE_CHECKING:
    from http.client import HTTPMessage
    from pathlib import Path
    from typing import IO

    from edge.models.durable import Disk

_CHUNK = 256 * 1024
_TIMEOUT_S = 30.0
_PART, _ABOUT = "part", "about.json"


class FetchError(KioskError):
    """The bundle cannot be had from that address, now or at all."""

    exit_code = EX_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Fetched:
    """``path``: the whole file. ``tag``: what the server calls this version of it; empty: it does not say."""

    path: Path
    tag: str


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    max_redirections = 5

    def redirect_request(  # noqa: PLR0917 - the library's signature
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme != "https":
            raise FetchError(
                f"{shown(req.full_url)}: the server sends us on to {shown(newurl)}",
                hint="a redirect must lead to an https:// address, too",
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(
    url: str, folder: Path, *, disk: Disk, max_bytes: int, known_tag: str = "", ca_file: Path | None = None
) -> Fetched | None:
    """Get the file at ``url``; None: it is still the version ``known_tag``.

    :param folder: where it is kept, and what of it has come when the connection breaks; made if need be.
    :param max_bytes: of the whole file.
    :param ca_file: certificates of the authorities to trust; None: the system's.
    :raises FetchError: no https address, no connection, wrong certificate, refused, cut off, or too large.
    :raises StateError: the folder cannot be written.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "https" or "@" in parts.netloc:
        raise FetchError(f"{shown(url)}: not fetched", hint="only https:// addresses without user and password are")
    try:
        folder.mkdir(mode=0o750, exist_ok=True)
        return _fetch(url, folder, _opener(ca_file), disk, max_bytes=max_bytes, known_tag=known_tag)
    except urllib.error.URLError as error:
        raise FetchError(f"{shown(url)}: {_why(error)}", hint="it is tried again from where it was cut off") from None
    except (TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
        raise FetchError(f"{shown(url)}: cut off: {error}", hint="the next attempt goes on from there") from None
    except OSError as error:
        raise StateError(
            f"{error.filename or folder}: cannot be written: {error.strerror or error}", hint="check free space"
        ) from None


def shown(url: str) -> str:
    """The address without what may be secret in it: user, password, query."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _fetch(
    url: str, folder: Path, opener: urllib.request.OpenerDirector, disk: Disk, *, max_bytes: int, known_tag: str
) -> Fetched | None:
    part, about = folder / _PART, _read_about(folder)
    have = part.stat().st_size if part.exists() else 0
    resumed = bool(have and about.get("url") == url and about.get("tag"))
    headers = {"Range": f"bytes={have}-", "If-Range": about["tag"]} if resumed else {}
    if known_tag and not resumed:
        headers["If-None-Match" if known_tag.startswith('"') else "If-Modified-Since"] = known_tag
    try:
        answer = opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)  # noqa: S310 - https only
    except urllib.error.HTTPError as error:
        if error.code == 304:
            return None
        if error.code == 416:  # what we have is no beginning of what is there now
            part.unlink(missing_ok=True)
        raise
    with contextlib.closing(answer):
        tag = _tag(answer.headers)
        if known_tag and tag == known_tag:
            return None
        goes_on = resumed and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {have}-")
        begin = have if answer.status == 206 and goes_on else 0
        told = answer.headers.get("Content-Length", "")
        length = begin + int(told) if told.isdigit() else None
        if length is not None and length > max_bytes:
            raise FetchError(f"{shown(url)}: {length} bytes", hint=f"at most {max_bytes} are fetched")
        disk.replace(folder / _ABOUT, json.dumps({"url": url, "tag": tag}).encode())
        with part.open("r+b" if begin else "wb") as file:
            file.seek(begin)
            size = begin
            while chunk := answer.read(_CHUNK):
                size += len(chunk)
                if size > max_bytes:
                    file.truncate(0)
                    raise FetchError(f"{shown(url)}: larger than {max_bytes} bytes", hint="nothing of it is kept")
                file.write(chunk)
            file.truncate()
    if length is not None and size != length:
        raise FetchError(f"{shown(url)}: cut off after {size} of {length} bytes", hint="the next attempt goes on there")
    return Fetched(part, tag)


def _tag(headers: Any) -> str:
    """A weak ETag does not vouch for bytes."""
    etag = str(headers.get("ETag", ""))
    return etag if etag.startswith('"') else str(headers.get("Last-Modified", ""))


def _read_about(folder: Path) -> dict[str, str]:
    try:
        told = json.loads((folder / _ABOUT).read_bytes())
        return {k: v for k, v in told.items() if isinstance(v, str)}
    except (OSError, ValueError, AttributeError):
        return {}


def _opener(ca_file: Path | None) -> urllib.request.OpenerDirector:
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise FetchError(f"{ca_file}: no certificates that can be read: {error}", hint="PEM is needed") from None
    return urllib.request.build_opener(_OnlyHttps, urllib.request.HTTPSHandler(context=context))


def _why(error: urllib.error.URLError) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    return str(error.reason)
