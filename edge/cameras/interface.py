"""The camera seam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edge.types import Frame


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """How a source is doing, for health and logs.

    ``state``: "starting", "live", "lost" or "ended"; ``detail``: the last error in words, credentials redacted;
    ``dropped``: frames that were captured but superseded before anyone took them; ``restarts``: reconnects so far.
    """

    state: str
    detail: str
    frames: int
    dropped: int
    restarts: int


class Camera(Protocol):
    """A source of frames.

    Contract: ``read`` returns a frame newer than the last one returned, waiting at most ``timeout_s`` (plus
    scheduling); ``seq`` and ``t_mono_s`` strictly increase; the image is not writeable and stays valid until the next
    ``read`` or ``close``. After ``close`` a read raises ``CameraLost``; ``close`` may be called twice.
    """

    @property
    def name(self) -> str: ...

    def read(self, timeout_s: float) -> Frame:
        """The newest frame.

        :raises CameraLost: no fresh frame within ``timeout_s``; reading again may succeed.
        :raises CameraEnded: a finite source is over.
        :raises SourceNotFound: the video file does not exist.
        :raises SourceInvalid: the video file holds no readable video.
        """

    def status(self) -> CameraStatus: ...

    def close(self) -> None: ...
