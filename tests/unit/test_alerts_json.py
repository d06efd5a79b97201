from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from fakes.alarms import make_alert, make_incident, make_ref
from hypothesis import given
from hypothesis import strategies as st

from edge.alerts.alert_json import VERSION, decode_alert, decode_incident, encode_alert, encode_incident
from edge.types import Severity

times = st.datetimes(timezones=st.just(timezone.utc))
words = st.text(max_size=30)
numbers = st.floats(allow_nan=False)


@given(st.tuples(words, words, times, st.none() | times, numbers, st.sampled_from(Severity), st.booleans()))
def test_an_alert_comes_back_as_it_was(facts: tuple[Any, ...]) -> None:
    incident, zone, opened, closed, value, severity, synced = facts
    alert = make_alert(
        incident or "x",
        zone=zone,
        opened_utc=opened,
        closed_utc=closed,
        value=value,
        severity=severity,
        clock_synced=synced,
        evidence=(make_ref("annotated"), make_ref("clean", "a/b.jpg")),
    )
    text = encode_alert(alert)
    assert text.isascii()
    assert "\n" not in text
    assert decode_alert(text) == alert


def test_an_incident_comes_back_as_it_was() -> None:
    for incident in (make_incident(), make_incident(closed=True)):
        assert decode_incident(encode_incident(incident)) == incident


def test_values_that_json_does_not_know_survive() -> None:
    odd = make_alert(value=float("inf"), threshold=np.float32(0.5), zone="\ud800")  # a lone half of a character
    back = decode_alert(encode_alert(odd))
    assert (back.value, back.threshold, back.zone) == (float("inf"), 0.5, "\ud800")
    assert decode_alert(encode_alert(make_alert(value=float("nan")))).value != 0


def changed(**changes: Any) -> str:
    item = json.loads(encode_alert(make_alert(evidence=(make_ref(),))))
    item.update(changes)
    return json.dumps(item)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", ""),
        ("[]", "object"),
        ("{", ""),
        ("[" * 100_000, ""),
        ('{"v": 1}', "missing"),
        (changed(v=0), "version"),
        (changed(v="1"), "version"),
        (changed(v=True), "version"),
        (changed(extra=1), "extra"),
        (changed(kind=5), "kind"),
        (changed(severity="dire"), "severity"),
        (changed(severity=2), "severity"),
        (changed(opened_utc="yesterday"), "opened_utc"),
        (changed(opened_utc="2026-03-01T02:00:00"), "opened_utc"),
        (changed(opened_utc="2026-03-01T02:00:00+01:00"), "opened_utc"),
        (changed(value="12"), "value"),
        (changed(value=True), "value"),
        (changed(clock_synced=1), "clock_synced"),
        (changed(evidence={}), "evidence"),
        (changed(evidence=[{}]), "EvidenceRef"),
        (
            changed(evidence=[{"role": "a", "path": "p", "media_type": "m", "sha256": "s", "size_bytes": -1}]),
            "size_bytes",
        ),
    ],
)
def test_anything_else_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named or None):
        decode_alert(text)


def test_what_a_newer_version_adds_is_ignored_after_a_rollback() -> None:
    assert decode_alert(changed(v=VERSION + 1, sequence=17)).incident_id == "inc-1"
    with pytest.raises(ValueError, match="missing"):
        decode_alert(f'{{"v": {VERSION + 1}}}')


def test_what_an_earlier_version_stored_is_still_read() -> None:
    item = json.loads(changed(v=1))
    for added in ("extra", "log_seq", "log_head"):
        del item[added]
    alert = decode_alert(json.dumps(item))
    assert (alert.incident_id, alert.extra, alert.log_seq, alert.log_head) == ("inc-1", (), 0, "")


def test_further_lines_and_the_log_head_survive() -> None:
    alert = make_alert(extra=(("Ended because", "condition ended"),), log_seq=7, log_head="ab" * 32)
    assert decode_alert(encode_alert(alert)) == alert
    with pytest.raises(ValueError, match=r"Alert\.extra"):
        decode_alert(changed(extra=[["one"]]))


@given(st.text(max_size=200) | st.recursive(st.none() | st.integers() | words, st.lists, max_leaves=5).map(json.dumps))
def test_no_text_does_worse_than_a_value_error(text: str) -> None:
    try:
        decode_alert(text)
    except ValueError:
        return
    pytest.fail("accepted")


def test_track_ids_must_be_whole_numbers() -> None:
    item = json.loads(encode_incident(make_incident()))
    item["peak"]["track_ids"] = [1, "2"]
    with pytest.raises(ValueError, match="track_ids"):
        decode_incident(json.dumps(item))


def test_times_keep_their_microseconds() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
    alert = replace(make_alert(), opened_utc=at, closed_utc=at + timedelta(microseconds=1))
    assert decode_alert(encode_alert(alert)).closed_utc == at + timedelta(microseconds=1)
