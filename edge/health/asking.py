"""Questions to the appliance with an end: one that is stuck is an answer, too, and holds up nobody else's."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Stuck(Exception):  # noqa: N818 - a state, and no fault of who asked
    """No answer within the patience."""


class Asking:
    """Asks in a few threads of its own; who asks the same meanwhile, in whichever event loop, shares the answer."""

    def __init__(self, *, patience_s: float = 2.0, threads: int = 3) -> None:
        self.patience_s = patience_s
        self._asker = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="page-ask")
        self._asked: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Ask no more; does not wait for a stuck answer."""
        self._asker.shutdown(wait=False, cancel_futures=True)

    async def ask(self, name: str, question: Callable[[], T]) -> T:
        """The answer to ``question``, known by its ``name``. :raises Stuck: there is none in time."""
        with self._lock:
            asked = self._asked.get(name)
            if asked is None or asked.done():
                asked = self._asked[name] = self._asker.submit(question)
        try:
            answer: T = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(asked)), self.patience_s)
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise Stuck from error
        return answer
