"""What can go wrong while exporting."""

from __future__ import annotations

from edge.errors import EX_CONFIG, EX_DATAERR, EX_NOINPUT, KioskError


class ExportError(KioskError):
    """Base of the export tooling: the model cannot be exported, quantised or bundled."""

    exit_code = EX_CONFIG


class DatasetError(ExportError):
    """The data set is malformed: a label, an image, a class list, or too few images."""

    exit_code = EX_DATAERR


class MissingInputError(ExportError):
    """A file or folder that was named does not exist."""

    exit_code = EX_NOINPUT


class GateError(ExportError):
    """The model was measured and is not good enough: it lost too much, or falls behind the installed one."""

    exit_code = 1
