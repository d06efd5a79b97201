"""The endpoints as a starlette application: /livez, /readyz, /health, /metrics, the page and the way in."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from edge.health.access import Access, Doorman
from edge.health.guard import Guard, json_error
from edge.health.guesses import Guesses
from edge.health.interface import Check, Report, Status
from edge.health.login import login_routes
from edge.health.metrics import CONTENT_TYPE, Figures, exposition
from edge.health.page import STYLE_HASH, render
from edge.health.sessions import Sessions
from edge.health.token import TokenFile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from concurrent.futures import Future
    from datetime import datetime
    from pathlib import Path

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from edge.clock import Clock
    from edge.health.interface import HealthSource

log = logging.getLogger(__name__)
T = TypeVar("T")

# The appliance answers from memory; one that does not within this time is stuck, and that is the answer.
_PATIENCE_S = 2.0
_MEDIA_TYPE = "application/health+json"
_PAGE_POLICY = (
    f"default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Endpoints:
    """Asks the source and words its answers.

    :param source: asked in a thread of its own, one question at a time: a stuck source blocks no other request.
    :param version: of the software.
    :param clock: for the times in answers.
    :param token_file: where the token's hash is kept; None: nobody has the token.
    :param token_everywhere: the token is needed for all but /livez; else not for what stands in ``glance_paths``.
    :param secure: the browser's cookie is for TLS only.
    :param figures: what /metrics tells beside the report; answers from memory.
    :param more_routes: further routes; they come first, so one for "/" takes the plain page's place. All of them need
        the token, on loopback too, but those whose path stands in ``glance_paths``. Their handlers may run in several
        event loops (health port, control socket): nothing in them may belong to one loop.
    :param glance_paths: further paths that show no picture and change nothing: on loopback they need no token.
    """

    def __init__(
        self,
        source: HealthSource,
        *,
        version: str,
        clock: Clock,
        token_file: Path | None = None,
        token_everywhere: bool = False,
        secure: bool = False,
        figures: Callable[[], Figures] = Figures,
        more_routes: Sequence[BaseRoute] = (),
        glance_paths: Collection[str] = (),
    ) -> None:
        self._more_routes = list(more_routes)
        self._glance_paths = frozenset(glance_paths)
        self._source = source
        self._figures = figures
        self._version = version
        self._clock = clock
        self._asker = ThreadPoolExecutor(max_workers=3, thread_name_prefix="health-ask")
        self._asked: dict[str, Future[Any]] = {}
        self._asking = threading.Lock()
        token = TokenFile(token_file)
        self._doorman = Doorman(
            token=token,
            look=lambda: self._ask("token", token.look, _no_answer),
            sessions=Sessions(now_s=clock.monotonic_s, secure=secure),
            guesses=Guesses(now_s=clock.monotonic_s),
            now_s=clock.monotonic_s,
        )
        self._token_everywhere = token_everywhere

    def application(self, *, allowed_hosts: Collection[str] = ()) -> Guard:
        """The ASGI application, its guard outermost: even an answer about a crash carries the security headers."""
        routes = Starlette(
            routes=[
                *self._more_routes,
                *login_routes(self._doorman),
                Route("/livez", self.livez),
                Route("/readyz", self.readyz),
                Route("/health", self.health),
                Route("/metrics", self.metrics),
                Route("/", self.page),
            ],
            exception_handlers={HTTPException: _http_error, Exception: _crash},
        )
        routes.router.redirect_slashes = False
        access = Access(
            routes, doorman=self._doorman, everywhere=self._token_everywhere, glance_paths=self._glance_paths
        )
        return Guard(access, allowed_hosts=allowed_hosts)

    def close(self) -> None:
        """Ask no more; does not wait for a stuck source."""
        self._asker.shutdown(wait=False, cancel_futures=True)

    async def livez(self, request: Request) -> Response:
        return _probe(request, "live", *await self._ask("live", self._source.live, _stuck))

    async def readyz(self, request: Request) -> Response:
        return _probe(request, "ready", *await self._ask("ready", self._source.ready, _stuck))

    async def health(self, request: Request) -> Response:
        del request
        report = await self._ask("report", self._source.report, _stuck_report)
        body = health_json(report, version=self._version, now=self._clock.utc_now())
        code = 503 if report.status is Status.FAIL else 200
        return Response(json.dumps(body, allow_nan=False), code, media_type=_MEDIA_TYPE)

    async def metrics(self, request: Request) -> Response:
        del request
        body = await self._ask("metrics", self._exposition, _no_answer)
        if body is None:  # a scrape that fails is what Prometheus understands
            return PlainTextResponse("the appliance does not answer: restart it, then read its log\n", 503)
        return Response(body, headers={"Content-Type": CONTENT_TYPE})

    def _exposition(self) -> bytes | None:
        return exposition(
            self._source.report(),
            self._figures(),
            version=self._version,
            ready=self._source.ready()[0],
            refused=self._doorman.refused_total,
        )

    async def page(self, request: Request) -> Response:
        report = await self._ask("report", self._source.report, _stuck_report)
        ready = await self._ask("ready", self._source.ready, _stuck)
        return HTMLResponse(
            render(
                report,
                ready=ready,
                version=self._version,
                now=self._clock.utc_now(),
                refresh="still" not in request.query_params,
            ),
            headers={"Content-Security-Policy": _PAGE_POLICY},
        )

    async def _ask(self, name: str, question: Callable[[], T], otherwise: Callable[[str], T]) -> T:
        """The source's answer; requests that come meanwhile share it, whatever event loop they are in."""
        with self._asking:
            asked = self._asked.get(name)
            if asked is None or asked.done():
                asked = self._asked[name] = self._asker.submit(question)
        try:
            answer: T = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(asked)), _PATIENCE_S)
        except (asyncio.TimeoutError, TimeoutError):
            return otherwise(f"the appliance does not answer within {_PATIENCE_S:.0f} s: restart it, then read its log")
        except Exception:  # who asks for health must get an answer, above all when something is wrong
            log.exception("the health source failed", extra={"kg": {"event": "health_source_failed", "asked": name}})
            return otherwise("the appliance cannot tell its state: read its log")
        return answer


def health_json(report: Report, *, version: str, now: datetime) -> dict[str, Any]:
    """A report in the words of application/health+json."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    checks: dict[str, list[dict[str, Any]]] = {}
    for check in report.checks:
        entry: dict[str, Any] = {"status": check.status.label, "time": stamp}
        if check.observed is not None:
            entry["observedValue"] = check.observed
        if check.unit:
            entry["observedUnit"] = check.unit
        if check.output:
            entry["output"] = check.output
        checks.setdefault(check.name, []).append(entry)
    wrong = [f"{c.name}: {c.output}" for c in report.checks if c.status == report.status != Status.PASS]
    body = {
        "status": report.status.label,
        "version": version,
        "serviceId": "kiosk-guard",
        "output": "; ".join(wrong),
        "time": stamp,
        "checks": checks,
        "details": report.details,
    }
    cleaned: dict[str, Any] = _json_ready(body)
    return cleaned


def _json_ready(value: Any) -> Any:
    """The value with nothing in it that JSON cannot say: an odd number in one detail must not cost the whole answer."""
    if isinstance(value, dict):
        return {str(key): _json_ready(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _probe(request: Request, name: str, good: bool, why: str) -> Response:  # noqa: FBT001 - the pair as it was answered
    text = name if good else f"not {name}"
    if "verbose" in request.query_params and why:
        text += f": {why}"
    return PlainTextResponse(text + "\n", 200 if good else 503)


def _stuck(why: str) -> tuple[bool, str]:
    return False, why


def _no_answer(why: str) -> None:
    """The token's file cannot be read now: what was last known of it holds."""


def _stuck_report(why: str) -> Report:
    return Report((Check("appliance", Status.FAIL, why),))


async def _http_error(request: Request, error: Exception) -> Response:
    del request
    if not isinstance(error, HTTPException):
        raise error
    return json_error(error.status_code, error.detail, error.headers)


async def _crash(request: Request, error: Exception) -> Response:
    del request, error  # the server logs it
    return json_error(500, "this request failed inside: read the log")
