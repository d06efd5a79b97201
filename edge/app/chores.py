"""What is done every few seconds, beside the storing of alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import KioskError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def do_all(chores: Iterable[Callable[[], object]]) -> None:
    """Do each, also where one before it failed: on a full or read-only disk some always do.

    :raises KioskError: what the first of them that failed said.
    """
    failed: KioskError | None = None
    for chore in chores:
        try:
            chore()
        except KioskError as error:  # noqa: PERF203 - each is to be tried
            failed = failed or error
    if failed is not None:
        raise failed
