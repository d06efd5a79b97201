"""What the capture process and its parent say to each other, and the shared memory that the pictures are in.

One SOCK_SEQPACKET pair: small JSON messages from the child, three-byte slot returns from the parent. Pictures lie in a
sealed memfd that the child hands over; it has no name, so nothing is left behind however either side dies.
"""

from __future__ import annotations

import fcntl
import json
import math
import mmap
import os
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from edge.types import U8

# One slot with the newest picture, one being copied out, one being written.
SLOTS = 3
MAX_MESSAGE = 16384
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class WireError(Exception):
    """The other side said something that makes no sense."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the child is to do; the first message to it. ``target`` may hold credentials."""

    kind: str
    target: str
    label: str
    loop: bool
    max_fps: float | None
    open_timeout_s: float
    read_timeout_s: float
    size: tuple[int, int] | None
    parent_pid: int
    program: str = ""  # that reads a Raspberry Pi's camera

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Order:
        fields: dict[str, Any] = json.loads(data)
        fields["size"] = tuple(fields["size"]) if fields["size"] else None
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class PicturesMessage:
    """A memfd comes along: ``SLOTS`` pictures of ``width`` x ``height`` px, BGR; ``block`` tells it from earlier ones."""

    block: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class FrameMessage:
    """Slot ``slot`` of ``block`` holds the source's frame number ``count``, captured at ``t_mono_s``.

    ``missed`` fresh frames before it found no free slot.
    """

    block: int
    slot: int
    count: int
    t_mono_s: float
    missed: int


@dataclass(frozen=True, slots=True)
class OverMessage:
    """The child is done. ``reason``: ended, lost, not_found or invalid; ``words`` and ``hint`` for people."""

    reason: str
    words: str
    hint: str


Message = PicturesMessage | FrameMessage | OverMessage
_KINDS: dict[str, type[PicturesMessage | FrameMessage | OverMessage]] = {
    "pictures": PicturesMessage,
    "frame": FrameMessage,
    "over": OverMessage,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def encode(message: Message) -> bytes:
    return json.dumps({"say": _NAMES[type(message)], **asdict(message)}).encode()


def decode(data: bytes) -> Message:
    """Read a message of the child, which decodes what a network sends and is not trusted.

    :raises WireError: it is none, or a value is out of range.
    """
    try:
        fields = json.loads(data)
        message = _KINDS[fields.pop("say")](**fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WireError(f"not a message: {data[:80]!r}") from error
    if isinstance(message, OverMessage):
        good = all(isinstance(v, str) for v in (message.reason, message.words, message.hint))
    elif isinstance(message, PicturesMessage):
        good = all(type(v) is int and 0 < v < 1 << 16 for v in (message.width, message.height)) and _is_byte(
            message.block
        )
    else:
        good = (
            _is_byte(message.block)
            and type(message.slot) is int
            and 0 <= message.slot < SLOTS
            and all(type(v) is int and 0 <= v < 1 << 53 for v in (message.count, message.missed))
            and type(message.t_mono_s) is float
            and math.isfinite(message.t_mono_s)
        )
    if not good:
        raise WireError(f"value out of range: {data[:200]!r}")
    return message


def _is_byte(value: object) -> bool:
    return type(value) is int and 0 <= value < 256


def receive(sock: socket.socket) -> tuple[list[tuple[bytes, list[int]]], bool]:
    """All packets that wait at a non-blocking socket, each with its file descriptors, and whether more can come.

    The descriptors are the caller's to close. A peer that ends with something of ours unread makes the kernel report a
    reset *before* the peer's last packets: they are read all the same.
    """
    packets: list[tuple[bytes, list[int]]] = []
    was_reset = False
    while True:
        try:
            data, fds, _, _ = socket.recv_fds(sock, MAX_MESSAGE, 1)
        except BlockingIOError:
            return packets, not was_reset
        except OSError:
            if was_reset:
                return packets, False
            was_reset = True
            continue
        if not data:
            return packets, False
        packets.append((data, fds))


def encode_return(block: int, slot: int) -> bytes:
    """A slot goes back to the child."""
    return bytes((block, slot))


def create_pictures(width: int, height: int) -> tuple[int, U8]:
    """Shared memory for ``SLOTS`` pictures: (memfd, uint8 (SLOTS, height, width, 3), writeable)."""
    length = SLOTS * height * width * 3
    fd = os.memfd_create("kiosk-guard-pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, length)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    memory = mmap.mmap(fd, length)
    return fd, np.frombuffer(memory, np.uint8).reshape(SLOTS, height, width, 3)


def map_pictures(fd: int, width: int, height: int) -> U8:
    """The parent's view of a child's memory, uint8 (SLOTS, height, width, 3), read-only.

    :raises WireError: too small, or it could be made smaller under our hands (which would kill this process).
    """
    length = SLOTS * height * width * 3
    try:
        sealed = fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
        if not sealed or os.fstat(fd).st_size < length:
            raise WireError(
                f"shared memory of {os.fstat(fd).st_size} bytes, sealed {bool(sealed)}, for {width}x{height}"
            )
        memory = mmap.mmap(fd, length, prot=mmap.PROT_READ)
    except (OSError, ValueError) as error:
        raise WireError(f"shared memory cannot be mapped: {error}") from error
    return np.frombuffer(memory, np.uint8).reshape(SLOTS, height, width, 3)
