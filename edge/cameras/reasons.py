"""What a library's error lines mean to the person who can mend it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.cameras.source import Source

# An HTTP status, where FFmpeg's lines have one; a port or a path may hold the same digits.
_STATUS = r"(?:failed: |http_code=|HTTP error |returned |HTTP/1\.[01] |RTSP/1\.0 ){}\b"
# Only errors are shown (FFmpeg's levels below 24): a warning, such as one about a pixel format, is no reason, and lines for
# debugging repeat requests with passwords. Those are looked through for what is known, no more.
_CHATTER = re.compile(r"^\s*\[OPENCV:FFMPEG:(?:2[4-9]|3[0-9]|4[0-9]|5[0-9])\]")
# What decoders say of a picture that came damaged or in part: often the last line before a stream ends, never why it ended.
_DAMAGED = re.compile(
    r"co located POCs|error while decoding|concealing \d+|[PS]PS id|non-existing [PS]PS|(?:missing|reference) picture|find ref with POC"
    r"|mmco|no frame!|decode_slice|number of reference frames|block unavailable|macroblock|level prefix|bytestream|EOI missing|overread"
    r"|bits \d+ is invalid|quant_index is invalid|invalid len|unsupported coding type|unable to decode APP|huffman",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^\s*(?:\[[^\]]*\]\s*)+")
# A server that asks for a password answers 401 to the first request always: only the answer to the last one counts.
_REQUEST = re.compile(r"^\s*\[OPENCV:FFMPEG:\d+\] request: ")
# (pattern, words, what to do): the first that matches any line wins, so the most telling come first.
_KNOWN: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), words, hint)
    for pattern, words, hint in (
        (
            r"no cameras available",
            "no Raspberry Pi camera is found",
            "check the ribbon cable (power off first), and what rpicam-vid --list-cameras says",
        ),
        (
            r"in use by another process|failed to acquire camera|Device or resource busy",
            "another program has the camera",
            "end it: fuser /dev/media* /dev/video* names it",
        ),
        (
            r"frontend has timed out|Device timeout detected",
            "the camera module sends no picture",
            "check the ribbon cable (power off first) and the power supply",
        ),
        (
            _STATUS.format(401),
            "the camera refuses the user name or password (401)",
            "check the camera's user and password in the configuration",
        ),
        (
            _STATUS.format(403),
            "the camera forbids this stream to this user (403)",
            "give the user the right to view the stream",
        ),
        (
            _STATUS.format(404),
            "the camera has no such stream (404)",
            "check the path of the URL against the camera's manual",
        ),
        (_STATUS.format("(?:453|503)"), "the camera serves no further client", "close other viewers of this camera"),
        (r"Connection refused", "nothing listens there", "check address and port; is the camera switched on?"),
        (
            r"(?:No route to host|Network is unreachable|Host is down)",
            "the network does not reach the camera",
            "check cable, PoE power and the address",
        ),
        (
            r"Failed to resolve|Name or service not known",
            "the host name is unknown",
            "check the name, or use the address",
        ),
        (
            r"timed? ?out|Immediate exit requested",
            "the camera does not answer",
            "check cable, PoE power and the address",
        ),
        (
            r"End of file|Connection reset|Broken pipe|Stream ends prematurely",
            "the camera closed the connection",
            "is it restarting?",
        ),
        (
            r"\b(?:certificate|TLS|SSL)\b",
            "the camera's TLS handshake fails",
            "check the camera's certificate and clock",
        ),
        (r"not on whitelist", "the stream points to a protocol that is not allowed", "use the camera's own stream"),
    )
)


def explain(lines: Iterable[str], source: Source) -> tuple[str, str]:
    """Words and a hint for the most telling of ``lines``, or the last that may say why, without a hint.

    Both empty where there is none: a decoder's complaint about a damaged picture is no reason.
    """
    lines = _last_exchange(lines)
    seen = [_PREFIX.sub("", line) for line in lines]
    for pattern, words, hint in _KNOWN:
        if any(pattern.search(line) for line in seen):
            return words, hint
    shown = (_PREFIX.sub("", line).strip() for line in reversed(_errors(lines)))
    last = next((line for line in shown if line and not _DAMAGED.search(line)), "")
    return source.scrub(last)[:200], ""


def _last_exchange(lines: Iterable[str]) -> list[str]:
    """Without what was told for debugging before the last HTTP request."""
    kept: list[str] = []
    for line in lines:
        if _REQUEST.match(line):
            kept = _errors(kept)
        kept.append(line)
    return kept


def _errors(lines: list[str]) -> list[str]:
    """Without what is told for debugging. Such a message may have several lines, and only its first says what it is."""
    kept, chatter = [], False
    for line in lines:
        if _PREFIX.match(line):
            chatter = _CHATTER.match(line) is not None
        if not chatter:
            kept.append(line)
    return kept


def is_refused(lines: Iterable[str]) -> bool:
    """Whether the camera turned the credentials down: trying often locks accounts."""
    return any(re.search(_STATUS.format("40[13]"), line) for line in _last_exchange(lines))
