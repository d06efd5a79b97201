"""The way in for a browser: a form that takes the token, or the label's QR code, which fills it in."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from edge.health.access import LOGIN_PATH, LOGOUT_PATH, client_address
from edge.health.token import digest

if TYPE_CHECKING:
    from edge.health.access import Doorman

_STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--text:#16191d;--line:#8a929b;--key:#0b5cad;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--bg:#0f1215;--card:#191e23;--text:#e8ebee;--key:#6cb6ff;--bad:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:16px/1.45 system-ui,sans-serif}
main{max-width:26rem;margin:0 auto;padding:1rem}
label{display:block;font-weight:600;margin:1rem 0 .35rem}
input,button{width:100%;min-height:3rem;padding:.5rem .75rem;font:inherit;border-radius:.5rem;border:1px solid var(--line);
background:var(--card);color:var(--text)}
input{font-family:ui-monospace,monospace}
button{margin-top:.75rem;background:var(--key);border-color:var(--key);color:var(--bg);font-weight:700}
[role=alert]{color:var(--bad);font-weight:600}
.help{font-size:.9rem;margin-top:1.25rem}
"""
# The label's address ends in "#token": a part that browsers send to nobody. It leaves the address bar at once.
_SCRIPT = """
const token=decodeURIComponent(location.hash.slice(1));
if(token){history.replaceState(null,"",location.pathname+location.search);
const form=document.querySelector("form");form.elements.token.value=token;form.submit()}
"""
_INNER_PATH = re.compile(r"/(?:[A-Za-z0-9_.~-]+/)*[A-Za-z0-9_.~-]*")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


_POLICY = (
    f"default-src 'none'; style-src '{_hash(_STYLE)}'; script-src '{_hash(_SCRIPT)}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def login_routes(doorman: Doorman) -> list[Route]:
    """``/login`` (form and answer) and ``/logout``."""

    async def form(request: Request) -> Response:
        await doorman.look()
        words = "" if doorman.token.expected else 'No token was made for this box yet: run "kiosk-guard label" on it.'
        return _page(request.query_params.get("next", "/"), words, 200)

    async def log_in(request: Request) -> Response:
        fields = await _fields(request)
        token, wanted = fields.get("token", ""), fields.get("next", "/")
        code, wait_s = await doorman.try_token(token, client_address(request.scope))
        if code == 200:
            cookie = doorman.sessions.begin(digest(token))
            return RedirectResponse(_inner(wanted), 303, headers={"Set-Cookie": cookie})
        if code == 429:
            seconds = math.ceil(wait_s)
            page = _page(wanted, f"Too many wrong tokens. Try again in {seconds} s.", 429)
            page.headers["Retry-After"] = str(seconds)
            return page
        return _page(wanted, "That is not the token of this box. It stands on the label, below the address.", 401)

    async def log_out(request: Request) -> Response:
        cookie = doorman.sessions.end(request.headers.get("cookie", ""))
        return RedirectResponse(LOGIN_PATH, 303, headers={"Set-Cookie": cookie})

    return [
        Route(LOGIN_PATH, form, methods=["GET"]),
        Route(LOGIN_PATH, log_in, methods=["POST"]),
        Route(LOGOUT_PATH, log_out, methods=["POST"]),
    ]


async def _fields(request: Request) -> dict[str, str]:
    """The form's fields; of each the last. What is no form has none."""
    try:
        body = await request.body()
        found = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10)
    except (ClientDisconnect, ValueError):
        return {}
    return {name: values[-1] for name, values in found.items()}


def _inner(path: str) -> str:
    """Where to go after the login: a plain path of this site, else the page."""
    return path if _INNER_PATH.fullmatch(path) and path != LOGIN_PATH else "/"


def _page(wanted: str, words: str, code: int) -> HTMLResponse:
    said = f'<p role="alert">{escape(words)}</p>' if words else ""
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Log in - Kiosk Guard</title><style>{_STYLE}</style></head><body><main><h1>Kiosk Guard</h1>"
        f'{said}<form method="post" action="{LOGIN_PATH}"><input type="hidden" name="next" value="{escape(_inner(wanted))}">'
        '<label for="token">Token from the label</label>'
        '<input id="token" name="token" type="password" autocomplete="current-password" autocapitalize="none" '
        'spellcheck="false" required autofocus><button>Log in</button></form>'
        "<p class=help>The label was printed when the box was set up. It is lost? On the box, <code>sudo kiosk-guard label "
        "--new</code> makes another token and ends this one.</p></main>"
        f"<script>{_SCRIPT}</script></body></html>",
        code,
        headers={"Content-Security-Policy": _POLICY},
    )
