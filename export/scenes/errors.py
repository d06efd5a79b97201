"""What can go wrong while rendering scenes."""

from __future__ import annotations

from edge.errors import EX_CONFIG, EX_UNAVAILABLE, KioskError


class SceneError(KioskError):
    """Base: a scene cannot be rendered."""

    exit_code = EX_CONFIG


class ScenarioError(SceneError):
    """A scenario file is malformed: an unknown key, a name that does not exist, a value out of range."""


class RendererUnavailable(SceneError):  # noqa: N818 - reads as the fact it states
    """No OpenGL: the ``scenes`` extra or Mesa's EGL is missing."""

    exit_code = EX_UNAVAILABLE
