"""The email channel against a real SMTP server on loopback."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from fakes.alarms import BOOT, UTC, make_alert, make_frame
from fakes.clocks import FakeClock
from fakes.mailserver import CERTIFICATE, Mailbox, mail_server
from fakes.slow_line import slow_line

from edge.alerts.database import open_database
from edge.alerts.email import EmailChannel
from edge.alerts.evidence import EvidenceStore
from edge.alerts.ledger import StoredLedger
from edge.alerts.mail_words import Site
from edge.alerts.outbox import Outbox
from edge.alerts.smtp_replies import LineBroke
from edge.alerts.worker import DeliveryWorker
from edge.errors import ChannelError, ConfigError, PermanentRefusal, TemporaryRefusal
from edge.types import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.types import Alert

SITE = Site("Main Street branch", "kiosk 7", "12 Main Street", timezone(timedelta(hours=1), "CET"))
SECRET = "kiosk pass-word"


def channel(port: int, **changes: Any) -> EmailChannel:
    options: dict[str, Any] = {
        "host": "localhost",
        "port": port,
        "security": "none",
        "sender": "kiosk@bank.example",
        "recipients": ["desk@bank.example", "night@bank.example"],
        "site": SITE,
        "clock": FakeClock(),
        "boot_id": BOOT,
        "timeout_s": 5,
    }
    return EmailChannel(**(options | changes))


@pytest.fixture
def server() -> Iterator[tuple[Mailbox, int]]:
    with mail_server() as found:
        yield found


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Alert, list[Path]]:
    store = EvidenceStore(tmp_path / "evidence", clock=FakeClock(), min_free_bytes=0)
    refs = tuple(
        store.save(make_frame(seed=seed, width=640, height=360).image, incident_id="inc-1", role=role, t_utc=UTC)
        for seed, role in enumerate(("annotated", "clean"))
    )
    return make_alert(evidence=refs), [store.folder / r.path for r in refs]


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send(mailer: EmailChannel, alert: Alert | None = None) -> None:
    mailer.send(alert or make_alert(), [], waited_s=0)


def refusal(mailer: EmailChannel, alert: Alert | None = None) -> ChannelError:
    with pytest.raises(ChannelError) as error:
        send(mailer, alert)
    return error.value


def test_the_mail_arrives_complete(server: tuple[Mailbox, int], pictures: tuple[Alert, list[Path]]) -> None:
    box, port = server
    alert, paths = pictures
    channel(port).send(alert, paths, waited_s=3)
    (mail,) = box.mails
    assert mail.recipients == ["desk@bank.example", "night@bank.example"]
    message = mail.message
    assert not message.defects
    assert message["Message-ID"] == "<inc-1.opened@bank.example>"
    assert message["Date"].datetime == UTC
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert "one person has stayed for 41.2 s; the limit is 30 s" in plain.get_content()
    assert "Main Street branch" in html.get_content()
    jpegs = [p.get_content() for p in message.walk() if p.get_content_type() == "image/jpeg"]
    assert jpegs == [p.read_bytes() for p in paths]


def test_a_server_that_is_down_is_temporary_and_delivers_once_up() -> None:
    port = free_port()
    mailer = channel(port)
    error = refusal(mailer)
    assert type(error) is TemporaryRefusal
    assert error.channel_wide
    assert f"localhost:{port}" in error.message
    assert "outbox" in error.hint
    with mail_server(port=port) as (box, _):
        send(mailer)
        assert box.ids == ["<inc-1.opened@bank.example>"]


@pytest.mark.parametrize(
    ("stage", "reply", "kind", "channel_wide"),
    [
        ("connect", "421 4.3.2 too busy", TemporaryRefusal, True),
        ("connect", "554 5.7.1 go away", PermanentRefusal, True),
        ("mail", "451 4.3.0 later", TemporaryRefusal, False),
        ("mail", "421 4.3.2 closing", TemporaryRefusal, True),
        ("mail", "550 5.7.1 who are you", PermanentRefusal, True),
        ("data", "451 4.3.0 later", TemporaryRefusal, False),
        ("data", "550 5.7.1 no", PermanentRefusal, False),
        ("data", "554 5.6.0 looks like spam", PermanentRefusal, False),
        ("end", "421 4.3.2 closing", TemporaryRefusal, True),
        ("connect", "hello, I am no mail server", TemporaryRefusal, True),
        ("connect", "drop", TemporaryRefusal, True),
        ("mail", "drop", LineBroke, False),
        ("data", "drop", LineBroke, False),
        ("data", "552 5.2.2 mailbox full", PermanentRefusal, False),
        ("middle", "drop", LineBroke, False),
    ],
)
def test_refusals_are_told_apart(
    server: tuple[Mailbox, int], stage: str, reply: str, kind: type[ChannelError], channel_wide: bool
) -> None:
    box, port = server
    box.answers = {stage: reply}
    error = refusal(channel(port))
    assert type(error) is kind
    assert error.channel_wide is channel_wide
    if reply[0].isdigit():
        assert reply in error.message
    box.answers.clear()
    box.mails.clear()
    send(channel(port))
    assert len(box.mails) == 1


def test_an_answer_lost_after_data_makes_a_recognisable_duplicate(server: tuple[Mailbox, int]) -> None:
    box, port = server
    mailer = channel(port)
    box.answers = {"end": "drop"}  # stored there, but nobody tells us
    assert type(refusal(mailer)) is LineBroke
    box.answers.clear()
    send(mailer)
    assert box.ids == ["<inc-1.opened@bank.example>"] * 2


def test_a_server_that_dies_as_soon_as_it_has_the_mail_gets_it_once(server: tuple[Mailbox, int]) -> None:
    box, port = server
    box.answers = {"after": "drop"}
    send(channel(port))  # neither waits for a farewell nor takes the missing one for a refusal
    assert box.ids == ["<inc-1.opened@bank.example>"]


@pytest.mark.parametrize("answer", ["hang", "drop", "421 4.3.2 closing"])
def test_a_server_that_cannot_part_costs_little_and_no_second_mail(server: tuple[Mailbox, int], answer: str) -> None:
    box, port = server
    box.answers = {"quit": answer}
    began = time.monotonic()
    send(channel(port, timeout_s=30))
    assert time.monotonic() - began < 10
    assert box.ids == ["<inc-1.opened@bank.example>"]


@pytest.mark.parametrize("reply", ["552 5.3.4 too large", "523 too large", "554 5.3.4 too large"])
def test_a_mail_that_is_too_large_goes_without_pictures(
    server: tuple[Mailbox, int], pictures: tuple[Alert, list[Path]], reply: str
) -> None:
    box, port = server
    # aiosmtpd tells us its limit, and refuses at MAIL what is announced as larger.
    with mail_server(size_limit=20_000) as (small, small_port):
        channel(small_port).send(*pictures, waited_s=0)
        assert "2 pictures are missing" in small.mails[0].content.decode().replace("=\r\n", "")
    box.answers = {"data": reply}
    with pytest.raises(PermanentRefusal):
        channel(port).send(*pictures, waited_s=0)
    assert box.connections == 2  # with pictures, then without


@pytest.mark.parametrize("security", ["none", "starttls"])
def test_a_slow_line_is_waited_for_as_long_as_it_moves(security: str, pictures: tuple[Alert, list[Path]]) -> None:
    options: dict[str, Any] = {"security": security, "timeout_s": 1.0}
    if security == "starttls":
        options["ca_file"] = CERTIFICATE
    with mail_server(tls=security) as (box, port), slow_line(port, rate=60_000) as line:
        began = time.monotonic()
        channel(line.port, **options).send(*pictures, waited_s=0)
        assert time.monotonic() - began > 2.0  # longer than the time-out
        assert len([p for p in box.mails[0].message.walk() if p.get_content_maintype() == "image"]) == 2


@pytest.mark.parametrize("how", ["breaks", "too slow"])
def test_a_line_that_carries_no_pictures_carries_the_news(how: str, pictures: tuple[Alert, list[Path]]) -> None:
    with (
        mail_server() as (box, port),
        slow_line(port, rate=1e9, breaks_after=40_000) if how == "breaks" else slow_line(port, rate=30_000) as line,
    ):
        mailer = channel(line.port, deadline_s=1.0)
        for _ in range(3):
            with pytest.raises(TemporaryRefusal) as error:
                mailer.send(*pictures, waited_s=0)
            assert not error.value.channel_wide
        assert "after 1 s" in str(error.value) or how == "breaks"
        mailer.send(*pictures, waited_s=0)
        assert "2 pictures are missing" in box.mails[-1].content.decode().replace("=\r\n", "")
        line.rate, line.breaks_after = 1e9, 0
        mailer.send(*pictures, waited_s=0)  # the next mail is tried with pictures again
        assert len([p for p in box.mails[-1].message.walk() if p.get_content_maintype() == "image"]) == 2


def test_pictures_beyond_our_own_limit_stay_behind(
    server: tuple[Mailbox, int], pictures: tuple[Alert, list[Path]]
) -> None:
    box, port = server
    alert, paths = pictures
    channel(port, max_message_bytes=paths[0].stat().st_size * 3 // 2).send(alert, paths, waited_s=0)
    kinds = [p.get_content_type() for p in box.mails[0].message.walk()]
    assert kinds.count("image/jpeg") == 1


def test_recipients_refused_for_now_get_it_later_and_the_others_only_once(
    server: tuple[Mailbox, int], tmp_path: Path
) -> None:
    box, port = server
    clock = FakeClock()
    database = open_database(tmp_path, clock=clock)
    box.answers = {"night@bank.example": "450 4.2.0 greylisted"}
    error = refusal(channel(port, ledger=StoredLedger(database)))
    assert type(error) is TemporaryRefusal
    assert not error.channel_wide
    assert "night@bank.example: 450 4.2.0 greylisted" in error.message
    assert "desk@" not in error.message
    box.answers.clear()
    send(channel(port, ledger=StoredLedger(database)))  # after a restart
    assert [m.recipients for m in box.mails] == [["desk@bank.example"], ["night@bank.example"]]
    assert box.ids[0] == box.ids[1]


def test_a_recipient_refused_for_good_does_not_hold_up_the_others(server: tuple[Mailbox, int]) -> None:
    box, port = server
    mailer = channel(port)
    box.answers = {"night@bank.example": "550 5.1.1 no such user"}
    send(mailer)
    assert [m.recipients for m in box.mails] == [["desk@bank.example"]]
    assert mailer.refused_recipients == {"night@bank.example": "550 5.1.1 no such user"}
    box.answers = {"desk@bank.example": "451 4.3.0 later", "night@bank.example": "550 5.1.1 no such user"}
    assert type(refusal(mailer, make_alert("b"))) is TemporaryRefusal
    box.answers = {"desk@bank.example": "550 5.1.1 gone", "night@bank.example": "550 5.1.1 no such user"}
    error = refusal(mailer, make_alert("c"))
    assert type(error) is PermanentRefusal
    assert "desk@bank.example: 550 5.1.1 gone" in error.message
    box.answers.clear()
    send(mailer, make_alert("c"))
    assert mailer.refused_recipients == {}


def test_recipients_by_severity(server: tuple[Mailbox, int]) -> None:
    box, port = server
    mailer = channel(
        port,
        recipients={Severity.LOW: ["log@bank.example"], Severity.CRITICAL: ["police@bank.example", "log@bank.example"]},
    )
    send(mailer, make_alert("a", severity=Severity.HIGH))
    send(mailer, make_alert("b", severity=Severity.CRITICAL))
    assert [m.recipients for m in box.mails] == [
        ["log@bank.example"],
        ["log@bank.example", "police@bank.example"],
    ]
    error = refusal(mailer, make_alert("c", severity=Severity.INFO))
    assert type(error) is PermanentRefusal
    assert "info" in error.message


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_login_over_verified_tls(security: str) -> None:
    with mail_server(tls=security, login=("kiosk", SECRET)) as (box, port):
        send(channel(port, security=security, username="kiosk", password=SECRET, ca_file=CERTIFICATE))
        assert box.mails[0].encrypted
        assert box.logins == [("kiosk", SECRET)]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_is_not_trusted_or_not_for_this_host_is_refused(security: str) -> None:
    with mail_server(tls=security) as (box, port):
        for options in ({}, {"ca_file": CERTIFICATE, "host": "127.0.0.1"}):
            error = refusal(channel(port, **({"security": security} | options)))
            assert type(error) is TemporaryRefusal
            assert error.channel_wide
            assert "certificate is not trusted" in error.message
            assert "ca_file" in error.hint
        assert box.mails == []


def test_nothing_is_sent_in_clear_where_tls_was_asked_for(server: tuple[Mailbox, int]) -> None:
    box, port = server
    error = refusal(channel(port, security="starttls", ca_file=CERTIFICATE, username="kiosk", password=SECRET))
    assert type(error) is TemporaryRefusal
    assert "STARTTLS" in error.message
    assert type(refusal(channel(port, security="tls", ca_file=CERTIFICATE))) is TemporaryRefusal
    assert box.mails == []
    assert box.logins == []


@pytest.mark.parametrize("answer", ["garbage", "drop", "hang", "454 4.7.0 TLS not available"])
def test_broken_tls_passes_and_nothing_is_sent_in_clear(answer: str) -> None:
    with mail_server(tls="starttls", login=("kiosk", SECRET)) as (box, port):
        mailer = channel(
            port, security="starttls", username="kiosk", password=SECRET, ca_file=CERTIFICATE, timeout_s=0.5
        )
        box.answers = {"starttls": answer}
        error = refusal(mailer)
        assert type(error) is TemporaryRefusal
        assert error.channel_wide
        assert (box.mails, box.logins) == ([], [])
        box.answers.clear()
        send(mailer)
        assert [m.encrypted for m in box.mails] == [True]


def test_a_wrong_password_is_permanent_for_every_mail_and_never_shown() -> None:
    with mail_server(tls="starttls", login=("kiosk", "another")) as (_, port):
        mailer = channel(port, security="starttls", username="kiosk", password=SECRET, ca_file=CERTIFICATE)
        error = refusal(mailer)
    assert type(error) is PermanentRefusal
    assert error.channel_wide
    assert "535" in error.message
    for shown in (str(error), repr(error), repr(mailer), repr(mailer._server), repr(error.__cause__)):
        assert SECRET not in shown
        assert "pass-word" not in shown
    assert error.__cause__ is None
    with mail_server(tls="starttls", login=("kiosk", SECRET)) as (_, port):
        error = refusal(channel(port, security="starttls", ca_file=CERTIFICATE))
    assert type(error) is PermanentRefusal
    assert error.channel_wide
    assert "wants a login" in error.message


@pytest.mark.parametrize("stage", ["connect", "mail", "middle", "data", "end"])
def test_a_server_that_hangs_costs_the_timeout(server: tuple[Mailbox, int], stage: str) -> None:
    box, port = server
    box.answers = {stage: "hang"}
    began = time.monotonic()
    error = refusal(channel(port, timeout_s=0.3))
    assert time.monotonic() - began < 5
    assert type(error) is (TemporaryRefusal if stage == "connect" else LineBroke)
    assert "in time" in error.message


def test_a_server_that_drips_costs_the_deadline() -> None:
    stop = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with closing(connection), suppress(OSError):
                while not stop.wait(0.05):
                    connection.sendall(b"2")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        error = refusal(channel(listening.getsockname()[1], deadline_s=0.5))
        took_s = time.monotonic() - began
        stop.set()
        thread.join(5)
    assert type(error) is TemporaryRefusal
    assert 0.4 < took_s < 5


def test_ipv6() -> None:
    try:
        with closing(socket.create_server(("::1", 0), family=socket.AF_INET6)):
            pass
    except OSError:
        pytest.skip("no IPv6 here")
    with mail_server(host="::1") as (box, port):
        send(channel(port, host="::1"))
        assert len(box.mails) == 1


def test_times_taken_before_the_clock_was_set_are_corrected_when_sending(server: tuple[Mailbox, int]) -> None:
    box, port = server
    clock = FakeClock(mono_s=1100.0, utc=UTC + timedelta(days=2, seconds=100))
    alert = make_alert(clock_synced=False, created_mono_s=1000.0)

    def sent(mailer: EmailChannel) -> str:
        send(mailer, alert)
        part = box.mails[-1].message.get_body(("plain",))
        assert part is not None
        return str(part.get_content())

    corrected = sent(channel(port, clock=clock))
    assert "2026-03-03 02:00:00 UTC" in corrected
    assert "corrected" in corrected
    assert "may be wrong" in sent(channel(port, clock=clock, boot_id="another"))
    clock.synced = False
    assert "may be wrong" in sent(channel(port, clock=clock))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sender": "Kiosk <kiosk@bank.example>"}, "not a mail address"),
        ({"sender": "kiosk@bank.example\r\nBcc: x@y"}, "not a mail address"),
        ({"recipients": ["desk@bank.example", "desk"]}, "'desk'"),
        ({"recipients": {Severity.LOW: ["a b@c"]}}, "not a mail address"),
        ({"security": "none", "username": "u", "password": "p", "host": "mx.bank.example"}, "unencrypted"),
        ({"security": "tls", "ca_file": CERTIFICATE.with_suffix(".none")}, "cannot be used"),
        ({"security": "tls", "ca_file": CERTIFICATE.with_suffix(".key")}, "cannot be used"),
    ],
)
def test_what_cannot_work_is_refused_at_once(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        channel(25, **changes)


def test_outbox_and_mail_server_together_through_an_outage(tmp_path: Path) -> None:
    port = free_port()
    clock = FakeClock()
    database = open_database(tmp_path, clock=clock)
    outbox = Outbox(database, clock=clock, boot_id=BOOT)
    mailer = channel(port, clock=clock, ledger=StoredLedger(database))
    worker = DeliveryWorker(outbox=outbox, channel=mailer, resolve=lambda _: None, clock=clock)

    def run(seconds: float) -> None:
        end_s = clock.monotonic_s() + seconds
        while clock.monotonic_s() < end_s:
            clock.advance(min(worker.step(), end_s - clock.monotonic_s()))

    for i in range(10):
        outbox.enqueue(make_alert(f"i{i}", created_mono_s=clock.monotonic_s()))
    outbox.enqueue(make_alert("c", severity=Severity.CRITICAL, created_mono_s=clock.monotonic_s()))
    run(3600)
    box = Mailbox()
    with mail_server(port=port, box=box):
        run(30)
        box.answers = {"end": "drop"}
        outbox.enqueue(make_alert("late", created_mono_s=clock.monotonic_s()))
        worker.step()
        box.answers = {"mail": "451 4.3.0 later"}
        run(20)
        box.answers.clear()
        run(60)
    assert box.ids[0] == "<c.opened@bank.example>"
    assert set(box.ids) == {f"<i{i}.opened@bank.example>" for i in range(10)} | {
        "<c.opened@bank.example>",
        "<late.opened@bank.example>",
    }
    assert len(box.ids) == 13  # one duplicate: the answer after DATA was lost
    assert box.ids.count("<late.opened@bank.example>") == 2
    assert outbox.stats().waiting == 0
    part = box.mails[0].message.get_body(("plain",))
    assert part is not None
    assert "This mail is late: it waited 1 h" in part.get_content()
