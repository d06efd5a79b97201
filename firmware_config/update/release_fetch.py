"""A release from any static file server: https only, bounded, going on where the last attempt was cut off.

/etc/kiosk-guard/update.conf:

    [update]
    url = https://files.bank.example/kiosk-guard/{machine}-{python}/
    ca_file = /etc/kiosk-guard/files-ca.pem        ; left out: the system's authorities

Beside the releases there lies ``latest``, a file with the name of the newest one: kiosk-guard-VERSION-MACHINE-PYTHON.tar.
"""

from __future__ import annotations

import configparser
import platform
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

from release_archive import MAX_BYTES, Refused

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

EX_UNAVAILABLE = 69
_NAME = re.compile(r"kiosk-guard-([0-9][0-9A-Za-z.+]{0,40})-[a-z0-9_]+-cp\d+\.tar")
_TIMEOUT_S = 60.0


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:  # noqa: PLR0917
        if urllib.parse.urlsplit(newurl).scheme != "https":
            raise Refused("the server sends us on to an address that is not https://", EX_UNAVAILABLE)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch_release(conf: Path, folder: Path, known: Collection[str]) -> Path | None:
    """The newest release as a file; None: there is no newer one, or no address is set.

    :param known: versions that are not wanted: the one that runs, and those that failed.
    """
    parser = configparser.ConfigParser()
    parser.read(conf)
    base = parser.get("update", "url", fallback="")
    if not base:
        print(f"[update] {conf} names no url: nothing is fetched", flush=True)
        return None
    base = base.format(machine=platform.machine(), python=f"cp{sys.version_info[0]}{sys.version_info[1]}")
    if urllib.parse.urlsplit(base).scheme != "https":
        raise Refused(f"{conf}: url must be an https:// address")
    ca_file = parser.get("update", "ca_file", fallback="") or None
    context = ssl.create_default_context(cafile=ca_file)
    opener = urllib.request.build_opener(_OnlyHttps, urllib.request.HTTPSHandler(context=context))
    try:
        name = opener.open(urllib.parse.urljoin(base, "latest"), timeout=_TIMEOUT_S).read(200).decode().strip()
        match = _NAME.fullmatch(name)
        if match is None:
            raise Refused(f"latest: {name!r} is no name of a release")
        if match[1] in known:
            print(f"[update] {match[1]} is the newest release: nothing new", flush=True)
            return None
        return _get(opener, urllib.parse.urljoin(base, name), folder / name)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise Refused(f"not fetched: {error}; the next attempt goes on", EX_UNAVAILABLE) from None


def _get(opener: urllib.request.OpenerDirector, url: str, target: Path) -> Path:
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
    with answer, part.open("ab" if answer.status == 206 else "wb") as file:
        while chunk := answer.read(1 << 18):
            file.write(chunk)
            if file.tell() > MAX_BYTES:
                file.truncate(0)
                raise Refused(f"larger than {MAX_BYTES} bytes")
        told = answer.headers.get("Content-Length", "")
        if told.isdigit() and file.tell() < int(told) + (have if answer.status == 206 else 0):
            raise Refused("cut off; the next attempt goes on from there", EX_UNAVAILABLE)
    part.replace(target)
    return target
