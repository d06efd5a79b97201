"""The acts over HTTP: bodies are read and bounded here, everything else is the appliance's business."""

from __future__ import annotations

import json
import logging
import math
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from edge.errors import KioskError
from edge.health.access import visitor
from edge.health.acts import ActRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from edge.health.acts import Acts, Json

log = logging.getLogger(__name__)

_MAX_LIMIT = 200
_MAX_TEXT = 200
_JPEG = "image/jpeg"


class ActsRoutes:
    """Implements the table in ``edge.health.acts``. Handlers wait for the appliance in a thread of their own."""

    def __init__(self, acts: Acts) -> None:
        self._acts = acts

    def routes(self) -> list[Route]:
        """To be given to the health server as ``more_routes``."""

        def get(path: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
            return Route(path, _worded(handler), methods=["GET"])

        def post(path: str, handler: Callable[[Request], Awaitable[Response]], method: str = "POST") -> Route:
            return Route(path, _worded(handler), methods=[method])

        return [
            get("/acts", self._possible),
            post("/acts/test-alarm", self._test_alarm),
            post("/acts/test-mail", self._test_mail),
            get("/acts/test-mail/{id}", self._test_mail_state),
            post("/acts/retry-mail", self._retry_mail),
            post("/acts/maintenance", self._maintenance),
            post("/acts/acknowledge", self._acknowledge),
            post("/acts/confirm-masks", self._confirm_masks),
            get("/acts/walk-test", self._walk_test_state),
            post("/acts/walk-test", self._walk_test),
            get("/acts/walk-test/records", self._records),
            get("/acts/walk-test/records/{name}", self._record),
            post("/acts/verdict", self._verdict),
            get("/acts/support-bundle", self._support_bundle),
            get("/acts/zones", self._zones),
            post("/acts/zones", self._save_zones, "PUT"),
            post("/acts/zones/restore", self._restore_zones),
            get("/live/{camera}.jpg", self._live),
            get("/incidents", self._incidents),
            get("/incidents/{id}", self._incident),
            get("/incidents/{id}/picture", self._picture),
        ]

    async def _possible(self, request: Request) -> Response:
        del request
        return _json(await run_in_threadpool(self._acts.possible))

    async def _test_alarm(self, request: Request) -> Response:
        body = await _body(request, {"seconds", "outputs"})
        outputs = body.get("outputs")
        if outputs is not None and not (isinstance(outputs, list) and all(isinstance(o, str) for o in outputs)):
            raise ActRefused('"outputs" is no list of names', hint="Leave it out for all.", status=400)
        seconds = _number(body, "seconds", 3.0)
        who = visitor(request)
        return _json(await run_in_threadpool(self._acts.test_alarm, seconds=seconds, outputs=outputs, who=who))

    async def _test_mail(self, request: Request) -> Response:
        await _body(request, set())
        return _json(await run_in_threadpool(self._acts.test_mail, who=visitor(request)))

    async def _test_mail_state(self, request: Request) -> Response:
        return _json(await run_in_threadpool(self._acts.test_mail_state, request.path_params["id"]))

    async def _retry_mail(self, request: Request) -> Response:
        await _body(request, set())
        return _json(await run_in_threadpool(self._acts.retry_mail, who=visitor(request)))

    async def _maintenance(self, request: Request) -> Response:
        body = await _body(request, {"on", "minutes", "reason"})
        act: Json = {
            "on": _flag(body, "on"),
            "minutes": _number(body, "minutes", 60.0),
            "reason": _text(body, "reason"),
        }
        return _json(await run_in_threadpool(self._acts.maintenance, **act, who=visitor(request)))

    async def _acknowledge(self, request: Request) -> Response:
        await _body(request, set())
        return _json(await run_in_threadpool(self._acts.acknowledge, who=visitor(request)))

    async def _confirm_masks(self, request: Request) -> Response:
        await _body(request, set())
        return _json(await run_in_threadpool(self._acts.confirm_masks, who=visitor(request)))

    async def _walk_test(self, request: Request) -> Response:
        body = await _body(request, {"on", "minutes", "siren", "technician"})
        act: Json = {
            "on": _flag(body, "on"),
            "minutes": _number(body, "minutes", 10.0),
            "siren": _flag(body, "siren", otherwise=False),
            "technician": _text(body, "technician"),
        }
        return _json(await run_in_threadpool(self._acts.walk_test, **act, who=visitor(request)))

    async def _walk_test_state(self, request: Request) -> Response:
        del request
        return _json(await run_in_threadpool(self._acts.walk_test_state))

    async def _records(self, request: Request) -> Response:
        del request
        return _json({"records": await run_in_threadpool(self._acts.records)})

    async def _record(self, request: Request) -> Response:
        name = request.path_params["name"]
        content, media_type = await run_in_threadpool(self._acts.record, name, who=visitor(request))
        return _download(content, name, media_type)

    async def _verdict(self, request: Request) -> Response:
        body = await _body(request, {"incident_id", "verdict"})
        act: Json = {"incident_id": _text(body, "incident_id"), "verdict": _text(body, "verdict")}
        return _json(await run_in_threadpool(self._acts.verdict, **act, who=visitor(request)))

    async def _support_bundle(self, request: Request) -> Response:
        name, content = await run_in_threadpool(self._acts.support_bundle, who=visitor(request))
        return _download(content, name, "application/gzip")

    async def _zones(self, request: Request) -> Response:
        del request
        return _json(await run_in_threadpool(self._acts.zones))

    async def _save_zones(self, request: Request) -> Response:
        body = await _body(request, {"zones", "masks", "version"})
        return _json(await run_in_threadpool(self._acts.save_zones, body, who=visitor(request)))

    async def _restore_zones(self, request: Request) -> Response:
        body = await _body(request, {"version"})
        version = _text(body, "version")
        return _json(await run_in_threadpool(self._acts.restore_zones, version, who=visitor(request)))

    async def _live(self, request: Request) -> Response:
        camera, plain = request.path_params["camera"], "plain" in request.query_params
        return Response(await run_in_threadpool(self._acts.live, camera, plain=plain), media_type=_JPEG)

    async def _incidents(self, request: Request) -> Response:
        asked = request.query_params.get("limit", "20")
        if not (asked.isascii() and asked.isdigit() and 0 < int(asked[:9]) <= _MAX_LIMIT):
            raise ActRefused(f"limit = {asked[:20]!r}", hint=f"allowed: 1 to {_MAX_LIMIT}", status=400)
        return _json({"incidents": await run_in_threadpool(self._acts.incidents, limit=int(asked))})

    async def _incident(self, request: Request) -> Response:
        return _json(await run_in_threadpool(self._acts.incident, request.path_params["id"]))

    async def _picture(self, request: Request) -> Response:
        asked: Json = {"role": request.query_params.get("role", "annotated"), "small": "small" in request.query_params}
        incident_id, who = request.path_params["id"], visitor(request)
        return Response(await run_in_threadpool(self._acts.picture, incident_id, **asked, who=who), media_type=_JPEG)


def _worded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """A refusal becomes an answer in words."""

    async def handled(request: Request) -> Response:
        try:
            return await handler(request)
        except ActRefused as error:
            return _json({"error": error.message, "hint": error.hint}, error.status)
        except KioskError as error:
            log.warning(
                f"{request.method} {request.url.path}: {error.message}",
                extra={"kg": {"event": "act_failed", "error": error.message}},
            )
            return _json({"error": error.message, "hint": error.hint}, 503)

    return handled


def _json(body: Json, status: int = 200) -> Response:
    return JSONResponse(body, status)


def bundle_route(make: Callable[[], tuple[str, bytes]]) -> Route:
    """``GET /acts/support-bundle`` alone: what a box that does not guard can still give."""

    async def give(request: Request) -> Response:
        name, content = await run_in_threadpool(make)
        log.warning("support bundle given", extra={"kg": {"event": "act", "act": "bundle", "who": visitor(request)}})
        return _download(content, name, "application/gzip")

    return Route("/acts/support-bundle", give, methods=["GET"])


def no_acts_routes(why: Callable[[], str]) -> list[Route]:
    """In the place of all acts and their pages on a box that does not guard: what is asked for is not "not found"."""

    async def refuse(request: Request) -> Response:
        del request
        return _json({"error": f"the box does not guard now: {why()}", "hint": "It can do this once it does."}, 503)

    async def back(request: Request) -> Response:
        del request
        return RedirectResponse("/", 303)

    anything = ["GET", "POST", "PUT"]
    acts = [Route(f"/{name}/{{rest:path}}", refuse, methods=anything) for name in ("acts", "incidents", "live")]
    pages = [Route(path, back, methods=["GET"]) for path in ("/zones", "/walk-test", "/incident/{id}")]
    return [*acts, *(Route(f"/{name}", refuse) for name in ("acts", "incidents")), *pages]


def _download(content: bytes, name: str, media_type: str) -> Response:
    plain = "".join(c for c in name if c.isascii() and (c.isalnum() or c in "-_."))
    return Response(content, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{plain}"'})


async def _body(request: Request, allowed: set[str]) -> Json:
    """The request's JSON object. No other media type: a form of a foreign page could not send this one."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ActRefused("the request's body is no JSON", hint="Content-Type: application/json", status=415)
    try:
        body = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ActRefused("the request's body is no JSON object", hint='For example: {"on": true}', status=400)
    unknown = sorted(set(body) - allowed)
    if unknown:
        raise ActRefused(
            f"unknown: {', '.join(map(repr, unknown))[:_MAX_TEXT]}",
            hint=f"allowed: {', '.join(sorted(allowed)) or 'nothing'}",
            status=400,
        )
    return body


def _number(body: Json, key: str, otherwise: float) -> float:
    value: Any = body.get(key, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ActRefused(f'"{key}" is no number', status=400)
    return float(value)


def _flag(body: Json, key: str, *, otherwise: bool | None = None) -> bool:
    value = body.get(key, otherwise)
    if not isinstance(value, bool):
        raise ActRefused(f'"{key}" is missing, or neither true nor false', status=400)
    return value


def _text(body: Json, key: str) -> str:
    """One clean line."""
    value = body.get(key, "")
    if not isinstance(value, str):
        raise ActRefused(f'"{key}" is no text', status=400)
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())[:_MAX_TEXT]
