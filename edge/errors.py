"""The error tree. Each seam owns one base; every message says what happened, where, and what to do next.

Exit codes follow sysexits.h, so that a service manager and a script can tell a bad file from a busy port.
"""

from __future__ import annotations

EX_OK = 0
EX_USAGE = 64
EX_DATAERR = 65
EX_NOINPUT = 66
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_OSERR = 71
EX_CANTCREAT = 73
EX_IOERR = 74
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78


class KioskError(Exception):
    """Base of every error that a person is meant to read.

    :param message: what happened and where (file, key, value, address).
    :param hint: what is allowed, or what to do next; may be empty.
    """

    exit_code = EX_SOFTWARE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class BadArgument(KioskError):  # noqa: N818 - reads as the fact it states
    """A command was called with a value that it does not take."""

    exit_code = EX_USAGE


class ConfigError(KioskError):
    """The configuration file is unreadable, or one or more of its keys are wrong."""

    exit_code = EX_CONFIG


class CameraError(KioskError):
    """Base of the camera seam."""

    exit_code = EX_UNAVAILABLE


class CameraLost(CameraError):  # noqa: N818 - the design's name for the state
    """No frame: the source cannot be opened, hangs, or went away. Reading again may succeed."""


class CameraEnded(CameraError):  # noqa: N818 - the end of a file is no fault
    """A finite source (a video file) has no further frame."""

    exit_code = EX_OK


class SourceNotFound(CameraError):  # noqa: N818 - reads as the fact it states
    """The video file does not exist."""

    exit_code = EX_NOINPUT


class SourceInvalid(CameraError):  # noqa: N818 - reads as the fact it states
    """The video file exists but holds no readable video."""

    exit_code = EX_DATAERR


class DetectorError(KioskError):
    """Base of the detector seam: the model cannot be loaded or run."""

    exit_code = EX_CONFIG


class ManifestError(DetectorError):
    """The model's manifest is missing, malformed, or does not match its model."""


class IndicatorError(KioskError):
    """A GPIO output cannot be opened or driven."""

    exit_code = EX_UNAVAILABLE


class OutboxError(KioskError):
    """The outbox cannot store or read alerts."""

    exit_code = EX_IOERR


class ChannelError(KioskError):
    """Base of the delivery seam.

    :param channel_wide: no message at all would get through now (no route, bad password): the others need not try.
    """

    exit_code = EX_UNAVAILABLE

    def __init__(self, message: str, *, hint: str = "", channel_wide: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.channel_wide = channel_wide


class TemporaryRefusal(ChannelError):  # noqa: N818 - SMTP's own term
    """Not delivered now (no route, timeout, 4xx, broken TLS): trying later may succeed."""


class PermanentRefusal(ChannelError):  # noqa: N818 - SMTP's own term
    """Refused for good (5xx, authentication, unknown recipient): trying again alone does not help."""


class HealthError(KioskError):
    """The health endpoint cannot serve, most often because its port is taken."""

    exit_code = EX_UNAVAILABLE


class StateError(KioskError):
    """The state directory cannot be written."""

    exit_code = EX_CANTCREAT
