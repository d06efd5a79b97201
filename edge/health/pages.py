"""The technician's pages as routes: what is asked of the appliance has an end, and a page says so when it comes."""

from __future__ import annotations

import logging
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from edge.errors import KioskError
from edge.health.access import has_token
from edge.health.acts import ActRefused
from edge.health.asking import Asking, Stuck
from edge.health.glance_page import render_glance
from edge.health.interface import Check, Report, Status
from edge.health.layout import POLICY, card, page
from edge.health.tool_pages import render_incident, render_walk_test, render_zones

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from edge.clock import Clock
    from edge.health.acts import Acts, Json
    from edge.health.interface import HealthSource

log = logging.getLogger(__name__)

_STATIC = Path(__file__).parent / "static"
_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "zones.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
# What shows no picture and changes nothing: free on loopback.
GLANCE_PATHS = ("/", *(f"/{name}" for name in _FILES))


class Pages:
    """``/``, ``/zones``, ``/walk-test``, ``/incident/ID``, and the files that they need.

    :param health: how the box is; ``acts``: what may be seen and done.
    """

    def __init__(self, health: HealthSource, acts: Acts, *, version: str, clock: Clock) -> None:
        self._health = health
        self._acts = acts
        self._version = version
        self._clock = clock
        self._asking = Asking()
        self._files = {name: (_STATIC / name).read_bytes() for name in _FILES}

    def routes(self) -> list[Route]:
        """To be given to the health server, before its own "/"."""
        return [
            Route("/", self._glance, methods=["GET"]),
            Route("/zones", self._worded(self._zones), methods=["GET"]),
            Route("/walk-test", self._worded(self._walk_test), methods=["GET"]),
            Route("/incident/{id}", self._worded(self._incident), methods=["GET"]),
            *(Route(f"/{name}", self._file, methods=["GET"]) for name in _FILES),
        ]

    def close(self) -> None:
        """Ask no more."""
        self._asking.close()

    async def _file(self, request: Request) -> Response:
        name = request.url.path.lstrip("/")
        return Response(self._files[name], media_type=_FILES[name])

    async def _glance(self, request: Request) -> Response:
        stuck = f"the appliance does not answer within {self._asking.patience_s:.0f} s: restart it, then read its log"
        report, ready = Report((Check("appliance", Status.FAIL, stuck),)), (False, stuck)
        glance: Json | None = None
        trouble = stuck
        try:
            report = await self._asking.ask("report", self._health.report)
            ready = await self._asking.ask("ready", self._health.ready)
            glance = await self._asking.ask("glance", self._acts.glance)
        except Stuck:
            pass
        except KioskError as error:
            trouble = error.message
        except Exception:  # a fault here must not hide the verdict
            log.exception("the page cannot be filled", extra={"kg": {"event": "page_failed"}})
            trouble = "the appliance cannot tell all of its state: read its log"
        return _html(
            render_glance(
                report,
                ready=ready,
                glance=glance,
                trouble=trouble,
                signed_in=has_token(request),
                version=self._version,
                now=self._clock.utc_now(),
            )
        )

    async def _zones(self, request: Request) -> Response:
        zones = await self._asking.ask("zones", self._acts.zones)
        camera = request.query_params.get("camera") or zones["cameras"][0]
        if camera not in zones["cameras"]:
            return RedirectResponse("/zones", 303)
        return _html(render_zones(zones, camera=camera, head=await self._head(), now=self._clock.utc_now()))

    async def _walk_test(self, request: Request) -> Response:
        del request
        state = await self._asking.ask("walk", self._acts.walk_test_state)
        records = await self._asking.ask("records", self._acts.records)
        return _html(render_walk_test(state, records, head=await self._head(), now=self._clock.utc_now()))

    async def _incident(self, request: Request) -> Response:
        wanted = request.path_params["id"]
        one = await self._asking.ask(f"incident {wanted}", lambda: self._acts.incident(wanted))
        return _html(render_incident(one, head=await self._head(), now=self._clock.utc_now()))

    async def _head(self) -> tuple[str, str]:
        possible: dict[str, Any] = await self._asking.ask("possible", self._acts.possible)
        return str(possible["kiosk"]), str(possible["site"])

    def _worded(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """What goes wrong becomes a page in words."""

        async def handled(request: Request) -> Response:
            try:
                return await handler(request)
            except Stuck:
                words, code = "The appliance does not answer: restart it, then read its log.", 503
            except KioskError as error:
                words = f"{error.message}. {error.hint}".strip()
                code = error.status if isinstance(error, ActRefused) else 503
            body = card("trouble", "This cannot be shown", f'<p>{escape(words)}</p><p><a href="/">Overview</a></p>')
            return _html(page("Kiosk Guard", body, here=request.url.path, signed_in=has_token(request)), code)

        return handled


def _html(text: str, code: int = 200) -> Response:
    return HTMLResponse(text, code, headers={"Content-Security-Policy": POLICY})
