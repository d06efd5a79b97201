"""What the updater's tests share: who makes releases, the next one, and a server that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.file_server import FileServer
from fakes.releases import Maker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("maker"))


@pytest.fixture(scope="module")
def release(maker: Maker) -> Path:
    return maker.release("0.9.1")


@pytest.fixture
def server(release: Path) -> Iterator[FileServer]:
    with FileServer.of_a_fleet(release) as made:
        yield made
