"""What is done every few seconds."""

from __future__ import annotations

import pytest

from edge.app.chores import do_all
from edge.errors import StateError


def test_a_chore_that_fails_keeps_no_other_from_being_done_and_is_told() -> None:
    done = []

    def refused(name: str) -> None:
        done.append(name)
        raise StateError(f"{name} cannot be written")

    with pytest.raises(StateError, match="first cannot be written"):
        do_all([lambda: refused("first"), lambda: done.append("second"), lambda: refused("third")])
    assert done == ["first", "second", "third"]


def test_without_trouble_nothing_is_said() -> None:
    done: list[int] = []
    do_all([lambda: done.append(1), lambda: done.append(2)])
    assert done == [1, 2]
