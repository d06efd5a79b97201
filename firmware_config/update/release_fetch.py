"""A release from any static file server: https only, bounded, going on where the last attempt was cut off.

/etc/kiosk-guard/update.conf:

    [update]
    url = https://files.bank.example/kiosk-guard/{machine}-{python}/
    ca_file = /etc/kiosk-guard/files-ca.pem        ; left out: the system's authorities

url is a folder's address; {machine} and {python} become this box's, such as aarch64 and cp311. Beside the releases there lies ``latest``, a file with the name of the newest one: kiosk-guard-VERSION-MACHINE-PYTHON.tar.
"""

from __future__ import annotations

import configparser
import errno
import http.client
import platform
import re
import shutil
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Any, Protocol

from release_archive import MAX_BYTES, Refused
from update_box import say

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EX_UNAVAILABLE, EX_NOROOM = 69, 73
KEEP_FREE = 128 * 1024 * 1024
_NAME = re.compile(r"kiosk-guard-([0-9][0-9A-Za-z.+]{0,40})-[a-z0-9_]+-cp\d+\.tar")
_TIMEOUT_S = 60.0


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:  # noqa: PLR0917
        if urllib.parse.urlsplit(newurl).scheme != "https":
            raise Refused("the server sends us on to an address that is not https://", EX_UNAVAILABLE)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_release(conf: Path, folder: Path, unwanted: Callable[[str], str], refused: Refusals) -> Path | None:
    """The newest release as a file; None: there is no newer one, or no address is set.

    :param unwanted: says why a version is not wanted; empty: it is.
    :param refused: what was refused here before: that very file is not fetched for it to be refused again.
    """
    base, ca_file = _settings(conf)
    if not base:
        say(f"{conf} names no url: nothing is fetched")
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise Refused(f"{conf}: ca_file = {ca_file}: no certificates that can be read: {error}") from None
    opener = urllib.request.build_opener(_OnlyHttps, urllib.request.HTTPSHandler(context=context))
    url = urllib.parse.urljoin(base, "latest")
    try:
        name = opener.open(url, timeout=_TIMEOUT_S).read(200).decode(errors="replace").strip()
        match = _NAME.fullmatch(name)
        if match is None:
            raise Refused(f"latest: {name!r} is no name of a release")
        if why := unwanted(match[1]):
            say(f"{match[1]} is the newest release: nothing new: {why}")
            return None
        url = urllib.parse.urljoin(base, name)
        return _get(opener, url, folder / name, refused)
    except (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException) as error:
        told = f"{url}: {error}"
        if "not yet valid" in told or "expired" in told:
            told += f" (this box's clock says {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC)"
        raise Refused(f"not fetched: {told}; the next attempt goes on", EX_UNAVAILABLE) from None


def _settings(conf: Path) -> tuple[str, str | None]:
    """The folder's address, with a slash at its end, and the authorities' file. No address: empty."""
    parser = configparser.ConfigParser(interpolation=None)  # a percent sign belongs into addresses
    try:
        parser.read(conf)
        base, ca_file = parser.get("update", "url", fallback=""), parser.get("update", "ca_file", fallback="")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise Refused(f"{conf}: cannot be read: {' '.join(str(error).split())}") from None
    base = base.replace("{machine}", platform.machine())
    base = base.replace("{python}", f"cp{sys.version_info[0]}{sys.version_info[1]}")
    try:
        parts = urllib.parse.urlsplit(base)
        good = not base or (parts.scheme == "https" and bool(parts.hostname) and (parts.port or 443) > 0)
    except ValueError:  # a port that is none
        good = False
    if not good or set(base) & set("{}"):
        raise Refused(
            f"{conf}: url = {base}: url must be an https:// address; {{machine}} and {{python}} are filled in"
        )
    return base if not base or base.endswith("/") else f"{base}/", ca_file or None


class Refusals(Protocol):
    """What the box remembers of refused files."""

    def why(self, name: str, tag: str) -> str:
        """Why the file that the server calls ``tag`` was refused; empty: it was not, or things have changed since."""

    def tagged(self, name: str, tag: str) -> None:
        """Told of the file that is on its way."""


def _get(opener: urllib.request.OpenerDirector, url: str, target: Path, refused: Refusals) -> Path | None:
    """A release's name never gets other content, so what is there of it is a beginning; the signature has the last word."""
    if target.exists():
        return target
    part = target.with_suffix(".part")
    for old in target.parent.glob("kiosk-guard-*"):
        if old != part:
            old.unlink()
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - https only
    try:
        answer = opener.open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            part.unlink(missing_ok=True)
        raise
    with answer:
        tag = str(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
        if why := refused.why(target.name, tag):
            say(f"{target.name}: nothing new: it was refused here: {why}")
            return None
        refused.tagged(target.name, tag)
        have = have if answer.status == 206 else 0
        told = answer.headers.get("Content-Length", "")
        to_come = int(told) if told.isdigit() else 0
        try:
            _check_room(target.parent, to_come)
            with part.open("ab" if have else "wb") as file:
                _save(answer, file, target.parent)
                if file.tell() < to_come + have:
                    raise Refused("cut off; the next attempt goes on from there", EX_UNAVAILABLE)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            part.unlink(missing_ok=True)
            raise Refused(f"{error.strerror}; nothing of it is kept", EX_NOROOM) from None
    part.replace(target)
    return target


def _save(answer: Any, file: IO[bytes], folder: Path) -> None:
    while chunk := answer.read(1 << 18):
        if file.tell() + len(chunk) > MAX_BYTES:
            file.truncate(0)
            raise Refused(f"larger than {MAX_BYTES} bytes")
        _check_room(folder, len(chunk))
        file.write(chunk)


def _check_room(folder: Path, size: int) -> None:
    """Evidence and mails come first: a download must not take the last room from them."""
    free = shutil.disk_usage(folder).free
    if free < size + KEEP_FREE:
        told = f"{free >> 20} MiB are free for {folder}, {(size + KEEP_FREE) >> 20} MiB are needed for the download"
        raise OSError(errno.ENOSPC, f"{told}: make room, or use a larger card")
