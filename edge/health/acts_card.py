"""What a technician may do from the overview: buttons and small forms, sent by the page's script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from edge.health.layout import card, options

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_MINUTES = ((15, "15 min"), (30, "30 min"), (60, "1 h"), (120, "2 h"), (240, "4 h"), (480, "8 h"))


def acts_card(possible: Mapping[str, Any], cameras: Collection[Mapping[str, Any]]) -> str:
    """Try the outputs, silence them, maintenance, the view of a camera that was moved, a support bundle.

    :param possible: as ``Acts.possible``; ``cameras``: as in ``Acts.glance``.
    """
    outputs = ", ".join(possible["outputs"]) or "none configured"
    disabled = "" if possible["outputs"] else " disabled"
    inner = (
        '<p class="plainly">Acts need JavaScript; reading does not.</p><div class="script">'
        f'<div id="view" data-live>{_view(cameras)}</div>'
        f'<form data-act="test-alarm"><p class="soft">Outputs: {escape(outputs)}</p><button{disabled}>Test siren and lamp, '
        '3 s</button><output role="status"></output></form>'
        '<form data-act="acknowledge"><p><button>Acknowledge: silence what sounds now</button></p>'
        '<output role="status"></output></form>'
        f'<div id="maintenance" data-live>{_maintenance(possible["maintenance"])}</div>'
        '<details><summary>Support bundle</summary><p class="soft">Log, configuration without secrets, health, versions; '
        'no pictures.</p><a class="button" href="/acts/support-bundle" download>Download</a></details></div>'
    )
    return card("acts", "Try it", inner)


def invitation() -> str:
    """In their place, for who has not shown the token."""
    return card(
        "acts",
        "Try it",
        '<p>With the token from the label you see pictures and can act.</p><a class="button key" '
        'href="/login?next=/">Log in</a>',
    )


def test_mail_act(possible: Mapping[str, Any]) -> str:
    """A mail to the desk that says that nothing happened."""
    who = ", ".join(possible["recipients"])
    return (
        f'<form data-act="test-mail" class="script"><p><button>Send a test mail</button></p><p class="small soft">to '
        f'{escape(who)}</p><output role="status"></output></form>'
    )


def retry_act() -> str:
    """Where mails wait: the technician has mended something and does not want to wait."""
    return (
        '<form data-act="retry-mail" class="script"><p><button>Try the waiting mails now</button></p>'
        '<output role="status"></output></form>'
    )


def _maintenance(state: Mapping[str, Any]) -> str:
    if state["on"]:
        return (
            '<form data-act="maintenance" data-on="false"><p>Maintenance: '
            f"{escape(state['reason'])}, {max(1, round(state['remaining_s'] / 60))} min left.</p>"
            '<button class="key">End maintenance</button><output role="status"></output></form>'
        )
    return (
        '<details><summary>Maintenance</summary><form data-act="maintenance" data-on="true">'
        '<p class="soft">The rules are silent, the desk is told so.</p><label for="minutes">For how long</label>'
        f'<select id="minutes" name="minutes">{options(_MINUTES, 30)}</select>'
        '<label for="reason">What for (the desk reads it)</label>'
        '<input id="reason" name="reason" maxlength="120" required autocomplete="off">'
        '<p><button class="risky">Begin maintenance</button></p><output role="status"></output></form></details>'
    )


def _view(cameras: Collection[Mapping[str, Any]]) -> str:
    """Only where a camera was moved, and somebody has to say that what it sees now is right."""
    withheld = any(c.get("withheld") for c in cameras)
    if not withheld and not any(c.get("moved") for c in cameras):
        return ""
    words = "A camera sees something else than before. If it hangs as it should now, say so: it then watches this view."
    if withheld:
        words = (
            "A camera was moved: its pictures are withheld until somebody has seen to it that the privacy masks lie where "
            "they should. Look at the live picture right after."
        )
    label = "The view is right, release the pictures" if withheld else "The view is right"
    return (
        f'<form data-act="confirm-masks"><p>{words}</p><button class="risky">{label}</button>'
        '<output role="status"></output></form>'
    )
