"""``camera_tamper``: the camera still sends pictures, but not of what it is to watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.rules.dwell import among
from edge.rules.view import FLAT, Compared, Look, Reference, free_of, look_at
from edge.types import Observation

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import Bool, Scene, Severity

COVERED, SPRAYED, BLINDED, DARK = "covered", "sprayed over", "blinded", "in the dark or covered"
DEFOCUSED, TURNED, FROZEN, HIDDEN = "out of focus", "turned away", "frozen", "partly hidden"

_EVERY_S = 0.7
_LEARN_S = 2.5  # of the first pictures; a fault that is there from the start is what the camera watches
_FORGET_S = 2.0  # a state that was not seen for this long has to begin anew
_ANOTHER, _SURE = 0.27, 0.55  # agreement of edges: another picture below, certainly the same one above
_FAINT = 0.33  # of the reference's contrast
_PAINTED = 0.35  # share of the structured blocks that show nothing any more
_GONE = 0.3  # share of the structured blocks that show something else than before, and do not stir
_BLURRED = 0.45  # of the reference's fine detail
_BLACK, _GLOOM, _WHITE = 14.0, 25.0, 225.0
_NOISE = 2.0  # grey levels that a sensor's noise changes from look to look
_STILL = 0.035  # mean change between two looks, as a share of the brightness, of what does not move
_QUIET = 0.8  # the same of whole blocks, where nobody stands in front of the camera and sways
_SAME = 0.02  # the same for a picture that does not live: no sensor is without noise


class CameraTamper:
    """True while the picture is covered, sprayed over, partly hidden, blinded, out of focus, turned away or frozen.

    Judged against what the camera saw before, by the direction of edges: light may change as it likes, edges stay. Two
    references are kept, one in colour and one for the grey picture of infrared light; people are left out of both.
    What is wrong is never learnt: it stays true until the old view is back, or ``relearn`` is called.

    :param person_classes: whose boxes are left out.
    :param dwell_s: covered, out of focus or turned away for this long.
    :param light_s: so for a picture that is all bright, all black or partly hidden: headlights, switches and somebody
        who stands close do that for a while.
    :param frozen_s: so for a picture that does not change by anything.
    """

    name = "camera_tamper"

    def __init__(
        self,
        *,
        person_classes: Collection[int],
        dwell_s: float,
        light_s: float,
        frozen_s: float,
        severity: Severity,
    ) -> None:
        self._person_classes = tuple(person_classes)
        self._limits = {FROZEN: frozen_s, DARK: light_s, BLINDED: light_s, SPRAYED: light_s, HIDDEN: light_s}
        self._dwell_s = dwell_s
        self._severity = severity
        self._due_s = float("-inf")
        self._last: Look | None = None
        self._references: dict[bool, Reference] = {}
        self._since: dict[str, tuple[float, float]] = {}  # state -> when it began, when it was last seen
        self._relearn = False
        # (state, seconds that it has lasted, seconds from which it is an incident) of what is wrong now; any thread.
        self.wrong: tuple[str, float, float] | None = None

    def relearn(self) -> None:
        """What the camera sees from now on is right; from any thread."""
        self._relearn = True

    def update(self, scene: Scene) -> list[Observation]:
        t_s = scene.frame.t_mono_s
        if self._relearn:
            self._relearn = False
            self._references, self._since, self._last = {}, {}, None
        if t_s >= self._due_s:
            self._due_s = t_s + _EVERY_S
            look = look_at(scene.frame.image)
            self._note(self.states(look, self._free(scene), t_s), t_s)
            self._last = look
        lately = [
            (state, last_s - since_s, self._limits.get(state, self._dwell_s))
            for state, (since_s, last_s) in self._since.items()
            if t_s - last_s <= 3 * _EVERY_S
        ]
        self.wrong = max(lately, key=lambda one: one[1] - one[2], default=None)
        return [
            Observation(
                camera=scene.frame.camera,
                rule=self.name,
                zone="",
                severity=self._severity,
                track_ids=(),
                t_mono_s=t_s,
                what=f"the camera has been {state} for",
                value=lasted_s,
                threshold=limit_s,
                unit="s",
            )
            for state, lasted_s, limit_s in lately
            if lasted_s >= limit_s
        ][:1]

    def states(self, look: Look, free: Bool, t_s: float) -> list[str]:
        """What is wrong with this picture; learns from it where nothing is.

        :param free: bool (rows, columns), blocks without people.
        """
        change = look.change_from(self._last) if self._last is not None else 255.0
        stir = look.stir_from(self._last) if self._last is not None else 255.0
        reference = self._reference(look, free, t_s)
        if reference is None:
            return [DARK]
        if reference.age_s(t_s) < _LEARN_S:
            reference.learn(look, free, t_s)
            return []
        seen = reference.compare(look, free)
        wrong = _wrong(look, seen, change=change, stir=stir)
        if wrong:
            return [wrong]
        if change <= _SAME:
            return [FROZEN]
        # What agrees little may be the beginning of something: learnt, but slowly.
        reference.learn(look, free, t_s, weight=1.0 if seen.agreement > _SURE else 0.05)
        return []

    def _reference(self, look: Look, free: Bool, t_s: float) -> Reference | None:
        """What to judge by; None: it is too dark to begin with."""
        found = self._references.get(look.grey)
        other = self._references.get(not look.grey)
        if found is None and other is not None:
            seen = other.compare(look, free)
            if seen.contrast < 1.5 * _FAINT or seen.detail < _BLURRED or seen.structure < FLAT:
                return other  # a cloth is grey, too: only a picture that shows something is that of infrared light
        if found is None and look.brightness >= _BLACK:
            found = self._references[look.grey] = Reference(t_s)
        return found or other

    def _note(self, states: list[str], t_s: float) -> None:
        self._since = {
            state: kept for state, kept in self._since.items() if t_s - kept[1] <= _FORGET_S or state in states
        }
        for state in states:
            since_s, last_s = self._since.get(state, (t_s, t_s))
            self._since[state] = (since_s if t_s - last_s <= _FORGET_S else t_s, t_s)

    def _free(self, scene: Scene) -> Bool:
        tracks = scene.tracks
        boxes = tracks.xyxy[among(tracks.class_id, self._person_classes)]
        return free_of(boxes, scene.frame.size)


def _wrong(look: Look, seen: Compared, *, change: float, stir: float) -> str:
    still = change < max(_NOISE, _STILL * look.brightness)
    if look.brightness > _WHITE and seen.contrast < _FAINT:
        return BLINDED
    if seen.agreement < _ANOTHER:
        if look.brightness < _BLACK:
            return DARK
        if seen.contrast < _FAINT or seen.detail < _BLURRED or seen.structure < FLAT:
            return COVERED
        # So little light comes through a cloth.
        return (COVERED if look.brightness < _GLOOM else TURNED) if still else ""
    if seen.lost_bare > _PAINTED and stir < _QUIET:
        return SPRAYED
    # Paint that covers a part, whose blurred rim is structure too; a cloth over a half; what somebody put before the lens.
    hidden = HIDDEN if seen.lost > _GONE and stir < _QUIET else ""
    return DEFOCUSED if seen.detail < _BLURRED else hidden
