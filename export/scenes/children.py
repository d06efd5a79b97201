"""Processes that render end with the one that started them, however that one ends."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """For a pool's or a manager's ``initializer``: a killed parent tells nobody, and its pool would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(os.EX_SOFTWARE)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
