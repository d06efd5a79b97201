"""The parent believes nothing that the capture process says."""

from __future__ import annotations

import fcntl
import json
import os
import socket

import pytest

from edge.cameras import wire

FRAME = wire.FrameMessage(block=1, slot=2, count=17, t_mono_s=12.5, missed=0)


@pytest.mark.parametrize(
    "message", [FRAME, wire.PicturesMessage(3, 1280, 720), wire.OverMessage("lost", "gone", "look for it")]
)
def test_messages_survive_the_way(message: wire.Message) -> None:
    assert wire.decode(wire.encode(message)) == message


def test_orders_survive_the_way() -> None:
    order = wire.Order("rtsp", "rtsp://u:p@h/s", "rtsp://***@h/s", True, 5.0, 10.0, 5.0, (640, 480), 42)
    assert wire.Order.decode(order.encode()) == order


@pytest.mark.parametrize(
    "change",
    [
        {"slot": 3},
        {"slot": -1},
        {"slot": 1.0},
        {"slot": True},
        {"block": 256},
        {"count": -1},
        {"count": 1 << 60},
        {"t_mono_s": float("nan")},
        {"t_mono_s": float("inf")},
        {"t_mono_s": "1"},
        {"missed": None},
        {"say": "pictures"},
        {"say": "other"},
        {"more": 1},
    ],
)
def test_a_frame_out_of_range_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(json.dumps(json.loads(wire.encode(FRAME)) | change).encode())


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"{}", b"[]", b"null", b"7", b'{"say": []}', b'{"say":"over","reason":1}']
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(data)


@pytest.mark.parametrize("size", [(0, 720), (1280, -1), (70000, 2)])
def test_absurd_pictures_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(wire.encode(wire.PicturesMessage(1, *size)))


def test_pictures_are_shared_and_the_parent_cannot_write_them() -> None:
    fd, mine = wire.create_pictures(8, 4)
    theirs = wire.map_pictures(fd, 8, 4)
    os.close(fd)
    mine[2] = 77
    assert theirs.shape == (wire.SLOTS, 4, 8, 3)
    assert int(theirs[2].min()) == 77
    assert int(theirs[1].max()) == 0
    with pytest.raises(ValueError, match="read-only"):
        theirs[0] = 1


def test_memory_that_is_too_small_or_could_shrink_is_refused() -> None:
    fd, _ = wire.create_pictures(8, 4)
    with pytest.raises(wire.WireError, match="shared memory"):
        wire.map_pictures(fd, 9, 4)
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(fd, 0)
    os.close(fd)
    loose = os.memfd_create("loose", os.MFD_ALLOW_SEALING)
    os.ftruncate(loose, 4096)
    with pytest.raises(wire.WireError, match="shared memory"):
        wire.map_pictures(loose, 8, 4)
    assert fcntl.fcntl(loose, fcntl.F_GET_SEALS) == 0
    os.close(loose)


def test_no_memory_at_all_is_refused(tmp_path: os.PathLike[str]) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(wire.WireError, match="shared memory"):
        wire.map_pictures(fd, 8, 4)
    os.close(fd)


def test_last_words_are_heard_though_the_child_left_something_unread() -> None:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.settimeout(0.0)
    with mine:
        with theirs:
            mine.send(wire.encode_return(1, 2))
            theirs.send(b"one")
            theirs.send(b"two")
            assert wire.receive(mine) == ([(b"one", []), (b"two", [])], True)
            theirs.send(b"three")
        assert wire.receive(mine) == ([(b"three", [])], False)
        assert wire.receive(mine) == ([], False)
