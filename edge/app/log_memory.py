"""The last log lines in memory: a support bundle has them even where the journal may not be read."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from edge.logs import Lines

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_LINE = 4_000


class LogMemory(logging.Handler):
    """A handler of the root logger.

    :param lines: how many are kept.
    """

    def __init__(self, lines: int = 2_000) -> None:
        super().__init__()
        self.setFormatter(Lines())
        self._kept: deque[str] = deque(maxlen=lines)

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`."""
        try:
            self._kept.append(self.format(record)[:_MAX_LINE])
        except Exception:  # noqa: BLE001 - logging's own way with a record that cannot be formatted
            self.handleError(record)

    def text(self) -> str:
        """All that is kept, oldest first."""
        return "\n".join(list(self._kept)) + "\n"

    def listen(self) -> Callable[[], None]:
        """Begin; returns what ends it."""
        root = logging.getLogger()
        root.addHandler(self)
        return lambda: root.removeHandler(self)
