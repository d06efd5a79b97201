"""The mail's HTML uses only what Word's engine knows (Outlook on Windows), or what that engine may ignore without harm."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from fakes.alarms import UTC, make_alert, make_ref

from edge.alerts.mail import Picture, compose
from edge.alerts.mail_words import Moment, Site
from edge.types import Severity

if TYPE_CHECKING:
    from edge.types import Alert

TAGS = {"html", "head", "meta", "title", "body", "table", "tr", "td", "div", "img"}
# What Word's engine draws, by element: text and background everywhere; margins of blocks; boxes of cells and tables.
CORE = {"color", "background-color", "font-family", "font-size", "font-weight", "line-height", "text-align"}
BLOCK = CORE | {"margin-top"}
BOX = BLOCK | {"width", "height", "padding", "border-top"}
KNOWN = {"body": CORE, "div": BLOCK, "td": BOX, "table": BOX, "img": BOX}
# What it ignores, beside what it knows that does the same there: an attribute, or the table of fixed width around all.
INSTEAD = {
    ("body", "margin"): "",
    ("body", "padding"): "",
    ("table", "max-width"): "",
    ("img", "max-width"): "width",
    ("img", "display"): "",
    ("img", "border"): "",
    ("td", "word-break"): "",
}


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.widths: list[str] = []
        self.comments: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in TAGS:
            self.faults.append(f"<{tag}>")
        for item in (given.get("style") or "").split(";"):
            name = item.partition(":")[0].strip()
            if not name or name in KNOWN.get(tag, set()):
                continue
            attribute = INSTEAD.get((tag, name))
            if attribute is None or (attribute and attribute not in given):
                self.faults.append(f"<{tag}> {item}")
        if "background-color" in (given.get("style") or "") and "bgcolor" not in given:
            self.faults.append(f"<{tag}> without bgcolor")
        if tag == "table" and ("width" not in given or given.get("cellspacing") != "0"):
            self.faults.append("<table> without width or cellspacing")
        if "class" in given or "id" in given:
            self.faults.append(f"<{tag}> styled from elsewhere")

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def html_of(alert: Alert) -> str:
    pictures = [Picture(ref, b"\xff\xd8x") for ref in alert.evidence[:1]]
    message = compose(
        alert,
        pictures,
        site=Site(site="Main Street", kiosk="kiosk-7", address="1 Main Street", timezone=UTC.tzinfo),  # type: ignore[arg-type]
        moment=Moment(shift=UTC - UTC, waited_s=900.0, trusted=False),
        sender="kiosk@kiosk.example",
        recipients=["desk@bank.example"],
        domain="kiosk.example",
        date=UTC,
    )
    body = message.get_body(("html",))
    assert body is not None
    return str(body.get_content())


@pytest.mark.parametrize("severity", list(Severity))
@pytest.mark.parametrize("kind", ["opened", "closed", "sheet", "heartbeat"])
def test_only_what_words_engine_knows(severity: Severity, kind: str) -> None:
    alert = make_alert(
        "inc-1",
        severity=severity,
        kind=kind,
        evidence=(make_ref(), make_ref("clean")),
        log_seq=12,
        log_head="0123456789abcdef" * 4,
    )
    html = html_of(alert)
    reader = Reader()
    reader.feed(html)
    assert reader.faults == []
    assert any('width="600"' in comment for comment in reader.comments)
    assert not re.search(r"flex|grid|float|position:|url\(|<style|@media", html)


def test_a_hash_is_small_enough_for_its_column() -> None:
    html = html_of(make_alert("inc-1", log_seq=123_456, log_head="0123456789abcdef" * 4))
    cell = next(c for c in re.findall(r"<td[^>]*>[^<]*</td>", html) if "0123456789abcdef" in c)
    size = re.search(r"font-size:(\d+)px", cell)
    assert size
    # Arial's hexadecimal digits are 0.54 of the size wide on average; the column has 600 - 110 - 16 - 8 - 16 px.
    assert int(size[1]) * 0.54 * len("123456:" + "0123456789abcdef" * 4) < 450


def test_the_reader_finds_what_it_is_for() -> None:
    reader = Reader()
    reader.feed('<div style="padding:1px;display:flex"><span></span></div><td style="background-color:#fff"></td>')
    assert len(reader.faults) == 4
