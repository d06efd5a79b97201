from __future__ import annotations

import email
import email.policy
import math
from datetime import datetime, timedelta, timezone
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

import pytest
from fakes.alarms import UTC, make_alert, make_ref
from hypothesis import given
from hypothesis import strategies as st

from edge.alerts.mail import Picture, compose, read_pictures
from edge.alerts.mail_words import (
    RULE_WORDS,
    Moment,
    Site,
    describe,
    duration,
    evidence_sentence,
    local_time,
    one_line,
)
from edge.config.rule_tables import Rules
from edge.types import Severity

if TYPE_CHECKING:
    from email.headerregistry import DateHeader
    from email.message import EmailMessage
    from pathlib import Path

    from edge.types import Alert

BERLIN = timezone(timedelta(hours=1), "CET")
SITE = Site("Main Street branch", "kiosk-7", "12 Main Street", BERLIN)


def mail(alert: Alert | None = None, **changes: Any) -> EmailMessage:
    arguments: dict[str, Any] = {
        "pictures": [],
        "site": SITE,
        "moment": Moment(),
        "sender": "kiosk@bank.example",
        "recipients": ["desk@bank.example", "night@bank.example"],
        "domain": "bank.example",
        "date": UTC,
    }
    arguments.update(changes)
    raw = compose(alert or make_alert(), **arguments).as_bytes()
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    return cast("EmailMessage", email.message_from_bytes(raw, policy=email.policy.SMTP))


def text(message: EmailMessage, kind: str = "plain") -> str:
    part = message.get_body((kind,))
    assert part is not None
    return cast("str", part.get_content())


def test_says_what_where_when_and_how_sure() -> None:
    plain = text(mail())
    for said in (
        "LOITERING",
        "one person has stayed for 41.2 s; the limit is 30 s",
        "Main Street branch",
        "12 Main Street",
        "kiosk-7",
        "lobby",
        "service corner",
        "Sun 1 March 2026, 03:00:00 CET (UTC+01:00)",
        "2026-03-01 02:00:00 UTC",
        "synchronised",
        "yolov8n-coco 1",
        "kiosk-guard 0.1.0",
        "inc-1",
    ):
        assert said in plain


def test_every_rule_that_ships_has_plain_words() -> None:
    assert set(Rules.model_fields) - {"objects"} <= set(RULE_WORDS)


def test_both_forms_say_the_same() -> None:
    message = mail(make_alert(kind="escalated", severity=Severity.CRITICAL))
    words = describe(make_alert(kind="escalated", severity=Severity.CRITICAL), site=SITE, moment=Moment())
    html = text(message, "html").replace("&nbsp;", " ")
    for said in (words.place, words.lead, words.title):
        assert said in html
    for label, said in words.rows:
        assert f"{label}:" in text(message)
        assert said in text(message)
        assert said in html


def test_headers_thread_an_incident() -> None:
    opened, escalated, closed = (
        mail(make_alert("i-9", kind="opened", severity=Severity.LOW)),
        mail(make_alert("i-9", kind="escalated", severity=Severity.CRITICAL)),
        mail(make_alert("i-9", kind="closed", severity=Severity.CRITICAL, closed_utc=UTC + timedelta(seconds=75))),
    )
    assert opened["Message-ID"] == "<i-9.opened@bank.example>"
    assert opened["In-Reply-To"] is None
    for later in (escalated, closed):
        assert later["In-Reply-To"] == later["References"] == opened["Message-ID"]
        assert later["Message-ID"] != opened["Message-ID"]
        assert later["Thread-Topic"] == opened["Thread-Topic"]
    assert escalated["Subject"].startswith("[CRITICAL] Escalated: Loitering: service corner, Main Street branch")
    assert closed["Subject"].startswith("[CRITICAL] Closed: ")
    assert "1 min 15 s" in text(closed)
    assert (escalated["Importance"], opened["Importance"], closed["Importance"]) == ("high", None, None)
    assert opened["Auto-Submitted"] == "auto-generated"
    assert cast("DateHeader", opened["Date"]).datetime == UTC
    assert opened["To"] == "desk@bank.example, night@bank.example"


def test_a_long_domain_breaks_neither_thread_nor_picture() -> None:
    domain = "kiosk-guard.atm-operations.region-north-west.examplebank.example"
    annotated, near = make_ref("annotated", "d/i/a.jpg"), make_ref("closeup", "d/i/n.jpg")
    alert = make_alert(
        "20260301-020000-1f3a2b", kind="escalated", severity=Severity.CRITICAL, evidence=(annotated, near)
    )
    message = compose(
        alert,
        [Picture(annotated, b"a"), Picture(near, b"n")],
        site=SITE,
        moment=Moment(),
        sender=f"kiosk@{domain}",
        recipients=[f"desk@{domain}"],
        domain=domain,
        date=UTC,
    )
    lines = (
        message.as_bytes().decode().split("\r\n")
    )  # as they travel: Python's own reader would put right what it broke
    opened, this = (f"20260301-020000-1f3a2b.{kind}@{domain}" for kind in ("opened", "escalated-critical"))
    for line in (
        f"Message-ID: <{this}>",
        f"In-Reply-To: <{opened}>",
        f"References: <{opened}>",
        f"Content-ID: <annotated.{this}>",
        f"Content-ID: <closeup.{this}>",
    ):
        assert line in lines
    html = message.get_body(("html",))
    assert html is not None
    for name in ("annotated", "closeup"):
        assert f'src="cid:{name}.{this}"' in html.get_content()


def test_a_test_mail_says_that_nothing_happened() -> None:
    message = mail(make_alert("t-1", kind="test", severity=Severity.INFO))
    assert message["Subject"] == "Test mail from service corner, Main Street branch, kiosk-7"
    assert "Nothing happened" in text(message)
    assert message["In-Reply-To"] is None


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_no_text_adds_a_header_or_markup(site: str, zone: str, rule: str) -> None:
    evil = "\r\nBcc: thief@example.com\r\n\r\n<script>alert(1)</script>"
    message = mail(
        make_alert(zone=zone + evil, rule=rule + evil, camera=evil, what=evil, unit=evil, incident_id="i" + evil),
        site=Site(site + evil, site + evil, evil, BERLIN),
    )
    assert set(message.keys()) == set(mail(make_alert(incident_id="x")).keys())
    assert message["Bcc"] is None
    assert "<script>" not in text(message, "html")
    assert message["To"] == "desk@bank.example, night@bank.example"
    assert len(text(message).splitlines()) == len(text(mail(make_alert(rule="x"))).splitlines())


def test_names_outside_ascii_arrive_whole() -> None:
    message = mail(site=Site("Zürich Höhe 北京", "kiosk-ä", "Łódź", BERLIN))
    assert "Zürich Höhe 北京" in message["Subject"]
    assert "Łódź" in text(message)
    assert "Łódź" in text(message, "html")


@given(
    st.lists(st.text(st.sampled_from("abäöß北& ,-"), min_size=1, max_size=12), min_size=1, max_size=12).map(" ".join)
)
def test_a_subject_keeps_every_space_and_letter(name: str) -> None:
    site = Site(name, "kiosk-7", "", BERLIN)
    words = describe(make_alert(), site=site, moment=Moment())
    message = compose(
        make_alert(),
        [],
        site=site,
        moment=Moment(),
        sender="kiosk@bank.example",
        recipients=["desk@bank.example"],
        domain="bank.example",
        date=UTC,
    )
    raw = message.as_bytes()
    lines = raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    assert max(map(len, lines)) <= 78
    assert email.message_from_bytes(raw, policy=email.policy.SMTP)["Subject"].strip() == words.subject
    old = email.message_from_bytes(raw)  # another reader than the one that belongs to the writer
    for header, text in (("Subject", words.subject), ("Thread-Topic", words.topic)):
        unfolded = old[header].replace("\r\n", "").replace("\n", "")
        assert str(make_header(decode_header(unfolded))).strip() == text.strip()


def test_the_annotated_picture_is_inline_and_the_clean_one_attached() -> None:
    annotated, clean = make_ref("annotated", "d/i/a.jpg"), make_ref("clean", "d/i/c.jpg")
    alert = make_alert(evidence=(clean, annotated))
    message = mail(alert, pictures=[Picture(annotated, b"\xff\xd8drawn"), Picture(clean, b"\xff\xd8clean")])
    html_part = message.get_body(("html",))
    assert html_part is not None
    inline = next(p for p in message.walk() if p.get_content_disposition() == "inline")
    assert inline.get_content() == b"\xff\xd8drawn"
    assert f'src="cid:{inline["Content-ID"].strip("<>")}"' in html_part.get_content()
    (attached,) = message.iter_attachments()
    assert attached.get_content() == b"\xff\xd8clean"
    assert attached.get_filename() == "inc-1-clean.jpg"
    assert "missing" not in text(message)


def test_the_close_up_is_inline_below_the_annotated_picture() -> None:
    refs = [make_ref(role, f"d/i/{role}.jpg") for role in ("annotated", "clean", "closeup")]
    message = mail(make_alert(evidence=tuple(refs)), pictures=[Picture(r, r.role.encode()) for r in refs])
    html = text(message, "html")
    inline = [p for p in message.walk() if p.get_content_disposition() == "inline"]
    assert [p.get_content() for p in inline] == [b"annotated", b"closeup"]
    at = [html.index(f'src="cid:{p["Content-ID"].strip("<>")}"') for p in inline]
    assert at == sorted(at)
    assert [p.get_content() for p in message.iter_attachments()] == [b"clean"]


def test_the_close_up_goes_along_before_the_clean_picture(tmp_path: Path) -> None:
    refs = [make_ref(role, f"{role}.jpg") for role in ("clip", "clean", "closeup", "annotated")]
    paths = [tmp_path / r.path for r in refs]
    for path in paths:
        path.write_bytes(b"x" * 3000)
    alert = make_alert(evidence=tuple(refs))
    order = ["annotated", "closeup", "clean", "clip"]
    for number in range(5):
        found = read_pictures(alert, paths, max_bytes=4200 * number)
        assert [p.ref.role for p in found] == order[:number]


def test_missing_pictures_are_told() -> None:
    alert = make_alert(evidence=(make_ref("annotated", "a.jpg"), make_ref("clean", "c.jpg")))
    assert "2 pictures are missing" in text(mail(alert))
    assert "One picture is missing" in text(mail(alert, pictures=[Picture(alert.evidence[1], b"x")]))
    assert "There is no picture of this moment." in text(mail(make_alert()))


def test_pictures_beyond_the_limit_stay_behind_the_clean_one_first(tmp_path: Path) -> None:
    refs = (make_ref("clean", "d/c.jpg"), make_ref("annotated", "d/a.jpg"))
    paths = [tmp_path / r.path for r in refs]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(b"x" * 3000)
    alert = make_alert(evidence=refs)

    def roles(max_bytes: int, found: list[Path]) -> list[str]:
        return [p.ref.role for p in read_pictures(alert, found, max_bytes=max_bytes)]

    assert roles(100_000, paths) == ["annotated", "clean"]
    assert roles(6000, paths) == ["annotated"]
    assert roles(3000, paths) == []
    # The caller leaves out what is missing; the others still belong to their own records.
    assert roles(100_000, paths[:1]) == ["clean"]
    paths[1].unlink()
    assert roles(100_000, paths) == ["clean"]


def test_a_late_mail_says_how_long_it_waited() -> None:
    plain = text(mail(moment=Moment(waited_s=72 * 3600 + 125)))
    assert "This mail is late: it waited 3 d to be delivered." in plain
    assert "late" not in text(mail(moment=Moment(waited_s=59)))


def test_a_mail_that_waited_nobody_knows_how_long_says_so() -> None:
    said = text(mail(moment=Moment(waited_s=math.nan, trusted=False)))
    assert "This mail is late: the kiosk was started anew meanwhile" in said
    assert "Waited:" not in said


def test_times_before_the_clock_was_set_are_corrected_and_marked() -> None:
    unsynced = make_alert(clock_synced=False, closed_utc=UTC + timedelta(seconds=5))
    corrected = text(mail(unsynced, moment=Moment(shift=timedelta(days=1))))
    assert "Mon 2 March 2026, 03:00:00" in corrected
    assert "Mon 2 March 2026, 03:00:05" in corrected
    assert "2026-03-02 02:00:00 UTC" in corrected
    assert "the times here are corrected" in corrected
    assert "may be wrong" not in corrected
    assert "the times in this mail may be wrong" in text(mail(unsynced, moment=Moment(trusted=False)))


@pytest.mark.parametrize(
    ("what", "value", "threshold", "unit", "said"),
    [
        ("one person has stayed for", 41.234, 30.0, "s", "one person has stayed for 41.2 s; the limit is 30 s"),
        ("together in the zone", 5.0, 4.0, "persons", "5 persons together in the zone; the limit is 4 persons"),
        ("sure of a knife", 0.8249, 0.6, "score", "0.82 score sure of a knife; the limit is 0.60 score"),
        ("x", float("nan"), float("inf"), "", "?  x; the limit is ?"),
        ("", 1.0, 1.0, "s", ""),
    ],
)
def test_evidence_in_words(what: str, value: float, threshold: float, unit: str, said: str) -> None:
    assert evidence_sentence(make_alert(what=what, value=value, threshold=threshold, unit=unit)) == said


def test_local_times_name_their_zone() -> None:
    summer = datetime(2026, 7, 1, 12, 0, tzinfo=timezone.utc)
    assert local_time(summer, timezone.utc) == "Wed 1 July 2026, 12:00:00 UTC+00:00"
    assert local_time(summer, timezone(timedelta(hours=-9, minutes=-30))).endswith("02:30:00 UTC-09:30")
    try:
        berlin = ZoneInfo("Europe/Berlin")
    except KeyError:
        pytest.skip("no time zone database here")
    assert local_time(summer, berlin).endswith("14:00:00 CEST (UTC+02:00)")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.6, "1 min"),
        (3600, "1 h"),
        (3601, "1 h"),
        (90_061, "1 d 1 h"),
        (float("inf"), "0 s"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@given(st.text())
def test_one_line_is_one_line(anything: str) -> None:
    line = one_line(anything)
    assert len(line.splitlines()) <= 1
    line.encode()


def test_the_closing_mail_says_how_long_what_peak_and_why() -> None:
    closed = text(
        mail(
            make_alert(
                "i-9",
                kind="closed",
                closed_utc=UTC + timedelta(seconds=75),
                extra=(("Ended because", "condition ended"),),
                log_seq=12,
                log_head="ab" * 32,
            )
        )
    )
    assert "It is over." in closed
    assert "Lasted:" in closed
    assert "1 min 15 s" in closed
    peak = next(line for line in closed.splitlines() if line.startswith("Peak:"))
    assert "41.2 s; the limit is 30 s" in peak
    assert "condition ended" in closed
    assert f"12:{'ab' * 32}" in closed
