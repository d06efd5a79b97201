"""What edge.alerts.interface.Channel promises, for every implementation."""

from __future__ import annotations

import inspect
from datetime import timezone
from typing import TYPE_CHECKING, Protocol

import pytest
from fakes.alarms import BOOT, make_alert, make_ref
from fakes.channels import FakeChannel
from fakes.clocks import FakeClock
from fakes.mailserver import Mailbox, mail_server

from edge.alerts.email import EmailChannel
from edge.alerts.interface import Channel
from edge.alerts.mail_words import Site
from edge.errors import ChannelError, PermanentRefusal, TemporaryRefusal
from edge.types import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Desk(Protocol):
    """A channel and its far end."""

    channel: Channel

    def arrived(self) -> list[str]:
        """Names under which the far end recognises what it took."""

    def refuse(self, how: str) -> None:
        """ "temporary", "permanent", or "" for no longer."""


class FakeDesk:
    def __init__(self) -> None:
        self.channel = FakeChannel()

    def arrived(self) -> list[str]:
        return self.channel.ids

    def refuse(self, how: str) -> None:
        errors: dict[str, ChannelError] = {"temporary": TemporaryRefusal("later"), "permanent": PermanentRefusal("no")}
        self.channel.refuse = lambda _: errors.get(how)


class MailDesk:
    def __init__(self, box: Mailbox, port: int) -> None:
        self._box = box
        self.channel = EmailChannel(
            host="127.0.0.1",
            port=port,
            security="none",
            sender="kiosk@bank.example",
            recipients=["desk@bank.example"],
            site=Site("Branch", "kiosk-1", "", timezone.utc),
            clock=FakeClock(),
            boot_id=BOOT,
            timeout_s=5,
        )

    def arrived(self) -> list[str]:
        return self._box.ids

    def refuse(self, how: str) -> None:
        replies = {"temporary": {"data": "451 4.3.0 later"}, "permanent": {"data": "550 5.7.1 no"}}
        self._box.answers = replies.get(how, {})


@pytest.fixture(params=["fake", "email"])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    if request.param == "fake":
        yield FakeDesk()
        return
    with mail_server() as (box, port):
        yield MailDesk(box, port)


def test_it_has_a_name_and_the_method_of_the_interface(desk: Desk) -> None:
    assert desk.channel.name
    wanted = list(inspect.signature(Channel.send).parameters)[1:]
    assert list(inspect.signature(desk.channel.send).parameters) == wanted


def test_when_send_returns_the_far_end_has_it(desk: Desk) -> None:
    desk.channel.send(make_alert("a"), [], waited_s=0)
    assert len(desk.arrived()) == 1
    desk.channel.send(make_alert("b", severity=Severity.INFO, kind="test"), [], waited_s=10**7)
    assert len(desk.arrived()) == 2


def test_a_second_delivery_is_recognisable(desk: Desk) -> None:
    desk.channel.send(make_alert("a"), [], waited_s=0)
    desk.channel.send(make_alert("a"), [], waited_s=99)
    first, second = desk.arrived()
    assert first == second
    desk.channel.send(make_alert("b"), [], waited_s=0)
    assert desk.arrived()[2] != first


@pytest.mark.parametrize(("how", "kind"), [("temporary", TemporaryRefusal), ("permanent", PermanentRefusal)])
def test_a_refusal_says_which_kind_and_passes(desk: Desk, how: str, kind: type[ChannelError]) -> None:
    desk.refuse(how)
    with pytest.raises(kind):
        desk.channel.send(make_alert("a"), [], waited_s=0)
    assert desk.arrived() == []
    desk.refuse("")
    desk.channel.send(make_alert("a"), [], waited_s=0)
    assert len(desk.arrived()) == 1


def test_missing_pictures_do_not_stop_it(desk: Desk, tmp_path: Path) -> None:
    there, vanished = tmp_path / "d" / "a.jpg", tmp_path / "d" / "b.jpg"
    there.parent.mkdir()
    there.write_bytes(b"\xff\xd8\xff\xd9")
    refs = (make_ref("annotated", "d/a.jpg"), make_ref("clean", "d/b.jpg"))
    alert = make_alert("a", evidence=refs)
    desk.channel.send(alert, [there, vanished], waited_s=0)
    desk.channel.send(alert, [], waited_s=0)
    assert len(desk.arrived()) == 2
