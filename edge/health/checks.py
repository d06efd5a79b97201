"""Measured facts turned into verdicts, with words that tell a technician what to do. Pure: no clock, no files.

What stops the guarding (no picture, no model, nowhere to store an alarm) fails; what only delays or threatens it warns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge.health.interface import Check, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

_MB = 1_000_000
_SEE_TO_CAMERA = (
    "check the camera's power and cable, then its address in the configuration; it is tried again by itself"
)


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """One camera.

    ``state`` and ``detail`` as in ``CameraStatus``; ``frame_age_s``: since the newest judged picture was captured,
    None: none yet.
    """

    name: str
    state: str
    detail: str = ""
    frame_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class InferenceFacts:
    """The detector.

    ``model``: its name and version, empty: none is loaded, ``error`` says why; ``duration_ms``: of a typical frame
    lately, None: none yet; ``budget_ms``: what a frame may take at the wanted rate; ``whole_ms``: what it takes all the way in
    the mean, those that the detector need not look at among them, None: as long as the detector.
    """

    model: str
    error: str = ""
    duration_ms: float | None = None
    budget_ms: float | None = None
    whole_ms: float | None = None


@dataclass(frozen=True, slots=True)
class OutboxFacts:
    """The way to the desk.

    ``waiting`` alerts, the oldest for ``oldest_age_s``; ``dropped`` since the start, but for those by hand; ``refused``
    for good, and kept;
    ``last_success_age_s``: None: nothing was delivered yet; ``last_error``: the newest refusal in the server's words, empty if
    there was a success since;
    ``error``: the store itself fails; ``refused_recipients``: those that the server does not take, with its words.
    """

    waiting: int
    oldest_age_s: float | None = None
    dropped: int = 0
    refused: int = 0
    last_success_age_s: float | None = None
    last_error: str = ""
    error: str = ""
    refused_recipients: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """The file system that holds ``path``; None: it cannot be asked. ``writable``: a test file could be written."""

    path: str
    free_bytes: int | None
    total_bytes: int | None
    writable: bool = True


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """The box itself; None: it does not tell. ``throttled``: words such as "under-voltage", of now only."""

    memory_available_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_c: float | None = None
    throttled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GpioFacts:
    """Outputs and inputs. ``driver``: as configured; ``on``: outputs that are on; faults in words."""

    driver: str
    on: tuple[str, ...] = ()
    output_fault: str = ""
    input_faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """The configuration's file. ``changed``: since the service read it; ``faults``: of the file as it is now."""

    path: str
    changed: bool = False
    faults: str = ""


def check_camera(facts: CameraFacts) -> Check:
    """Whether the camera delivers."""
    name = f"camera:{facts.name}"
    if facts.state == "live":
        if facts.detail:
            words = f"it is being reconnected: {facts.detail}. If that lasts, {_SEE_TO_CAMERA}"
            return Check(name, Status.WARN, words, facts.state)
        return Check(name, Status.PASS, "", facts.state)
    if facts.state == "starting":
        return Check(name, Status.WARN, facts.detail or "starting: wait for the first picture", facts.state)
    if facts.state == "ended":
        return Check(name, Status.FAIL, facts.detail or "the video file is over", facts.state)
    why = facts.detail or "no picture"
    return Check(name, Status.FAIL, f"camera lost: {why}. Now {_SEE_TO_CAMERA}", facts.state)


def check_frame_age(facts: CameraFacts, *, warn_after_s: float = 5.0, fail_after_s: float = 20.0) -> Check:
    """Whether the newest judged picture is of now."""
    name = f"frame_age:{facts.name}"
    age_s = facts.frame_age_s
    if age_s is None:
        return Check(name, Status.WARN, "no picture was judged yet", None, "s")
    observed = round(age_s, 2)
    if age_s > fail_after_s:
        words = f"the newest judged picture is {age_s:.0f} s old: the box does not see. Check the camera, then the log"
        return Check(name, Status.FAIL, words, observed, "s")
    if age_s > warn_after_s:
        words = f"the newest judged picture is {age_s:.0f} s old. If that lasts, {_SEE_TO_CAMERA}"
        return Check(name, Status.WARN, words, observed, "s")
    return Check(name, Status.PASS, "", observed, "s")


def check_inference(facts: InferenceFacts) -> Check:
    """Whether pictures are judged, and fast enough."""
    if not facts.model:
        return Check("inference", Status.FAIL, "no model, nothing is judged", None, "ms")
    if facts.duration_ms is None:
        return Check("inference", Status.WARN, "no picture was judged yet", None, "ms")
    observed = round(facts.duration_ms, 1)
    takes_ms = facts.duration_ms if facts.whole_ms is None else facts.whole_ms
    if facts.budget_ms is not None and takes_ms > facts.budget_ms:
        words = (
            f"a picture takes {takes_ms:.0f} ms, {facts.budget_ms:.0f} ms would keep the wanted rate: pictures "
            "are skipped. Check temperature and power supply, or lower the rate"
        )
        return Check("inference", Status.WARN, words, observed, "ms")
    return Check("inference", Status.PASS, "", observed, "ms")


def check_model(facts: InferenceFacts) -> Check:
    """Whether a model is loaded."""
    if facts.model:
        return Check("model", Status.PASS, "", facts.model)
    why = facts.error or "no model is loaded"
    return Check("model", Status.FAIL, f"{why}. Install a model again, or go back to the one before", None)


def check_outbox(facts: OutboxFacts, *, many: int = 50) -> Check:
    """Whether alarms can be kept until they are sent."""
    if facts.error:
        words = f"alarms cannot be stored: {facts.error}. Check the disk"
        return Check("outbox", Status.FAIL, words, facts.waiting, "alerts")
    if facts.dropped:
        words = (
            f"{_alerts(facts.dropped)} given up since the start: too many waited, or for too long. Restore the mail; the "
            "incidents are in the log"
        )
        return Check("outbox", Status.WARN, words, facts.waiting, "alerts")
    if facts.waiting > many:
        return Check("outbox", Status.WARN, f"{facts.waiting} alerts wait to be sent", facts.waiting, "alerts")
    return Check("outbox", Status.PASS, "", facts.waiting, "alerts")


def check_mail(facts: OutboxFacts, *, late_after_s: float = 300.0) -> Check:
    """Whether the desk is reached; alarms wait safely meanwhile, so this never fails the box."""
    said = f" The server says: {facts.last_error}." if facts.last_error else ""
    if facts.refused:
        words = (
            f"{_alerts(facts.refused)} refused for good.{said} Correct recipients or account in the configuration; "
            "they are kept and tried again"
        )
        return Check("mail", Status.WARN, words, _ago(facts.last_success_age_s), "s")
    late = facts.waiting and (facts.last_error or (facts.oldest_age_s or 0.0) > late_after_s)
    if late:
        many = "1 alert waits" if facts.waiting == 1 else f"{facts.waiting} alerts wait, the oldest"
        words = (
            f"{many} for {_duration(facts.oldest_age_s or 0.0)}.{said} Nothing is lost, it is sent when the mail server "
            "takes it. Check network, mail server and account"
        )
        return Check("mail", Status.WARN, words, _ago(facts.last_success_age_s), "s")
    if facts.last_error:  # empty since the last success: whatever was tried last did not get through, and was given up
        words = (
            f"the last mail did not get through.{said} Nothing waits now, but an alarm would. Check network, mail server and "
            "account, then send a test mail"
        )
        return Check("mail", Status.WARN, words, _ago(facts.last_success_age_s), "s")
    if facts.refused_recipients:
        them = "; ".join(f"{who}: {why}" for who, why in facts.refused_recipients.items())
        words = f"not everybody is told, the mail server refuses {them}. Correct [email] recipients"
        return Check("mail", Status.WARN, words, _ago(facts.last_success_age_s), "s")
    if facts.last_success_age_s is None:
        return Check("mail", Status.PASS, "nothing was sent yet: send a test mail", None, "s")
    return Check("mail", Status.PASS, "", _ago(facts.last_success_age_s), "s")


def check_disk(facts: DiskFacts, *, warn_below_bytes: int = 500 * _MB, fail_below_bytes: int = 50 * _MB) -> Check:
    """Whether there is room for alarms and pictures."""
    free = facts.free_bytes
    megabytes = None if free is None else round(free / _MB)
    if not facts.writable:
        words = f"{facts.path} cannot be written: alarms cannot be stored. Is the file system read-only or broken?"
        return Check("disk", Status.FAIL, words, megabytes, "MB")
    if free is None:
        return Check("disk", Status.WARN, f"{facts.path} does not tell how much is free", None, "MB")
    if free < fail_below_bytes:
        words = (
            f"only {megabytes} MB are free at {facts.path}: alarms cannot be kept. Remove what does not belong there"
        )
        return Check("disk", Status.FAIL, words, megabytes, "MB")
    if free < warn_below_bytes:
        words = f"only {megabytes} MB are free at {facts.path}. Remove what does not belong there"
        return Check("disk", Status.WARN, words, megabytes, "MB")
    return Check("disk", Status.PASS, "", megabytes, "MB")


def check_memory(facts: MachineFacts, *, warn_below_bytes: int = 100 * _MB) -> Check:
    """Whether memory is left."""
    available = facts.memory_available_bytes
    if available is None:
        return Check("memory", Status.PASS, "not measured on this machine", None, "MB")
    megabytes = round(available / _MB)
    if available < warn_below_bytes:
        words = f"only {megabytes} MB of memory are left. Stop what else runs here, or restart the box"
        return Check("memory", Status.WARN, words, megabytes, "MB")
    return Check("memory", Status.PASS, "", megabytes, "MB")


def check_temperature(facts: MachineFacts, *, warn_above_c: float = 80.0) -> Check:
    """Whether heat or a weak power supply slows the box."""
    observed = None if facts.temperature_c is None else round(facts.temperature_c, 1)
    if facts.throttled:
        words = f"the processor is held back: {', '.join(facts.throttled)}. Check power supply, cable and ventilation"
        return Check("temperature", Status.WARN, words, observed, "Cel")
    if facts.temperature_c is not None and facts.temperature_c > warn_above_c:
        words = f"{facts.temperature_c:.0f} degrees: the processor will slow down. Clear the vents, check the fan"
        return Check("temperature", Status.WARN, words, observed, "Cel")
    return Check(
        "temperature", Status.PASS, "" if observed is not None else "not measured on this machine", observed, "Cel"
    )


def check_clock(*, synchronised: bool) -> Check:
    """Whether the times in alarms can be trusted."""
    if synchronised:
        return Check("clock", Status.PASS, "", "synchronised")
    words = (
        "it was not set from the network since the start: times in alarms may be wrong. Let the box reach an NTP server"
    )
    return Check("clock", Status.WARN, words, "not synchronised")


def check_gpio(facts: GpioFacts) -> Check:
    """Whether the local alarm can sound and the switches can be read."""
    observed = ", ".join(facts.on) or "all off"
    if facts.output_fault:
        words = f"{facts.output_fault}. Check the wiring and the pins in [outputs], then restart the service"
        return Check("gpio", Status.FAIL, words, observed)
    if facts.input_faults:
        words = f"{'; '.join(facts.input_faults)}. Check the wiring and the pins in [inputs], then restart the service"
        return Check("gpio", Status.WARN, words, observed)
    if facts.driver == "none":
        return Check("gpio", Status.PASS, "switched off: nothing sounds or lights here ([outputs] driver)", None)
    if facts.driver == "mock":
        words = 'simulated: nothing sounds or lights here. Set [outputs] driver = "gpiozero" on a real box'
        return Check("gpio", Status.WARN, words, observed)
    return Check("gpio", Status.PASS, "", observed)


def check_config(facts: ConfigFacts) -> Check:
    """Whether the file on the disk is what the box works with, and would start it again."""
    if facts.faults:
        words = (
            f"the file has faults now, and the box would not guard after a restart: {facts.faults}. "
            f"Run: kiosk-guard check-config {facts.path}"
        )
        return Check("config", Status.WARN, words, "faulty")
    if facts.changed:
        words = f"{facts.path} was changed and is not in use yet. Restart: systemctl restart kiosk-guard"
        return Check("config", Status.WARN, words, "changed")
    return Check("config", Status.PASS, "", "in use")


def _alerts(count: int) -> str:
    return "1 alert was" if count == 1 else f"{count} alerts were"


def _ago(age_s: float | None) -> float | None:
    return None if age_s is None else round(age_s, 1)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
