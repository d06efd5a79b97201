"""``camera_tamper``: the camera still sends pictures, but not of what it is to watch."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from edge.rules.dwell import among
from edge.rules.view import FLAT, NOTHING, Compared, Look, Reference, free_of, look_at
from edge.types import Observation

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from edge.types import F32, U8, Bool, Scene, Severity

COVERED, SPRAYED, BLINDED, DARK = "covered", "sprayed over", "blinded", "in the dark or covered"
DEFOCUSED, TURNED, FROZEN, HIDDEN = "out of focus", "turned away", "frozen", "partly hidden"
MOVED = "pushed aside"  # it sees the same, but elsewhere in its picture

_EVERY_S = 0.7
_SOON_S = 0.15  # at the soonest, where the picture jerks or is another one and does not rest
_JERK = 0.08  # change of a few points since the last look, as a share of the brightness
_JERK_LEAST = 2.0  # grey levels
_GLIMPSE = (16, 9)  # (columns, rows) of those points
_TURNING_S = 2.0  # a hand does what it does to a camera, and lets go, in so long at the most
_TURNING = 0.67  # of the time that it must last, however short that is set
_LEARN_S = 2.5  # of the first pictures; a fault that is there from the start is what the camera watches
_FORGET_S = 2.0  # a state that was not seen for this long has to begin anew
_ANOTHER, _SURE = 0.27, 0.55  # agreement of edges: another picture below, certainly the same one above
_IN_PLACE = 0.85  # certainly the same one, and where it was
_AGREED_S = 10.0  # what agrees little, but never less, for so long is the view that is remembered
_SETTLED_S = 60.0  # what was learnt for so long is worth keeping
_FAINT = 0.33  # of the reference's contrast
_PAINTED = 0.35  # share of the structured blocks that show nothing any more
_GONE = 0.3  # share of the structured blocks that show something else than before, and do not stir
_BLURRED = 0.45  # of the reference's fine detail
_BLACK, _GLOOM, _WHITE = 14.0, 25.0, 225.0
_STILL = 0.018  # change between two looks without their noise, as a share of the brightness, of what does not move
_STILL_LEAST = 1.2  # grey levels
_QUIET = 0.8  # the same of whole blocks, where nobody stands in front of the camera and sways
_SAME = 0.02  # the same for a picture that does not live: no sensor is without noise


class CameraTamper:
    """True while the picture is covered, sprayed over, partly hidden, blinded, out of focus, turned away or frozen.

    Judged against what the camera saw before, by the direction of edges: light may change as it likes, edges stay. Two
    references are kept, one in colour and one for the grey picture of infrared light; people are left out of both.
    What is wrong is never learnt: it stays true until the old view is back, or ``relearn`` is called. Whether the camera
    was moved can also be told by what it saw in an earlier life (``recall``).

    :param person_classes: whose boxes are left out.
    :param dwell_s: covered, out of focus or turned away for this long.
    :param light_s: so for a picture that is all bright, all black or partly hidden: headlights, switches and somebody
        who stands close do that for a while; and for one that is pushed aside a little.
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
        self._limits[MOVED] = light_s
        self._dwell_s = dwell_s
        self._severity = severity
        self._due_s = float("-inf")
        self._looks: deque[tuple[float, Look]] = deque()  # (when, look), the last ones
        self._glimpse = np.zeros((0, 0), np.int16)
        self._elsewhere_s: float | None = None  # since when the picture is another one, moving or not
        self._references: dict[bool, Reference] = {}
        self._since: dict[str, tuple[float, float]] = {}  # state -> when it began, when it was last seen
        self._remembered: dict[bool, Reference] = {}  # of an earlier life, until it is seen that they hold
        self._agrees_since_s: float | None = None
        self._relearn = False
        self._moved = False
        # The picture of now may be of another view: a moment ago, or for good. Any thread.
        self.doubtful = False
        self.generation = 0  # how often it was told to learn anew; any thread
        # (state, seconds that it has lasted, seconds from which it is an incident) of what is wrong now; any thread.
        self.wrong: tuple[str, float, float] | None = None

    def relearn(self) -> None:
        """What the camera sees from now on is right; from any thread."""
        self.generation += 1
        self._relearn = True

    @property
    def moved(self) -> bool:
        """Whether it is certain that the camera looks elsewhere, though it may be too early for an incident; any thread."""
        return self._moved and not self._relearn

    def memory(self, free: Bool) -> dict[bool, dict[str, F32]]:
        """What to ``recall`` in the next life, by whether it is grey; empty while nothing is certain. Any thread.

        :param free: bool (9, 16), blocks of which something may be kept.
        """
        if self.wrong is not None or self.doubtful or self._relearn or not self._looks:
            return {}
        now_s = self._looks[-1][0]
        settled = {grey: known for grey, known in dict(self._references).items() if known.age_s(now_s) >= _SETTLED_S}
        return {grey: known.arrays(free) for grey, known in (self._remembered | settled).items()} if settled else {}

    def recall(self, memory: Mapping[bool, Mapping[str, F32]]) -> None:
        """What it saw before it was started: whether the camera was moved meanwhile is judged by that, once it is light.

        :raises KeyError, ValueError: this is no memory.
        """
        self._remembered = {grey: Reference.from_arrays(arrays) for grey, arrays in memory.items()}

    def update(self, scene: Scene) -> list[Observation]:
        t_s = scene.frame.t_mono_s
        if self._relearn:
            self._relearn = False
            self._references, self._remembered, self._since, self._elsewhere_s = {}, {}, {}, None
            self.doubtful = self._moved = False
            self._looks.clear()
        if t_s >= self._due_s or self._jerked(scene.frame.image, t_s):
            look = look_at(scene.frame.image)
            self._note(self.states(look, self._free(scene), t_s), t_s)
            self._looks.append((t_s, look))
            self._glimpse = _glimpse(scene.frame.image)
            # Just when one of them has lasted for long enough, it is looked whether it still does.
            ends_s = [round(since_s + self._limit(state), 3) for state, (since_s, _) in self._since.items()]
            soon = self._elsewhere_s is not None and not {COVERED, TURNED} & self._since.keys()
            self._due_s = min([t_s + (_SOON_S if soon else _EVERY_S), *(end_s for end_s in ends_s if end_s > t_s)])
        lately = [
            (state, round(last_s - since_s, 3), self._limit(state))
            for state, (since_s, last_s) in self._since.items()
            if t_s - last_s <= 3 * _EVERY_S
        ]
        self._moved = any(state in {TURNED, MOVED} and lasted_s >= self._dwell_s for state, lasted_s, _ in lately)
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
        before = self._before(t_s)
        change = look.change_from(before) if before is not None else 255.0
        moved = look.move_from(before) if before is not None else 255.0
        stir = look.stir_from(before) if before is not None else 255.0
        if look.grey in self._remembered and look.brightness >= _BLACK:
            return self._as_before(look, free, t_s, moved=moved, stir=stir)
        reference = self._reference(look, free, t_s)
        if reference is None:
            return [DARK]
        if reference.age_s(t_s) < _LEARN_S:
            reference.learn(look, free, t_s)
            return []
        seen, wrong = self._judge(reference, look, free, moved=moved, stir=stir)
        if seen.agreement >= _ANOTHER:
            self._elsewhere_s = None
        elif self._elsewhere_s is None:
            self._elsewhere_s = t_s
        if wrong:
            return [wrong]
        if change <= _SAME:
            return [FROZEN]
        # What agrees little may be the beginning of something: learnt, but slowly.
        reference.learn(look, free, t_s, weight=1.0 if seen.agreement > _SURE else 0.05)
        return []

    def _as_before(self, look: Look, free: Bool, t_s: float, *, moved: float, stir: float) -> list[str]:
        """What is wrong by what was seen in an earlier life, which is forgotten once the camera is known to hang as it did."""
        seen, wrong = self._judge(self._remembered[look.grey], look, free, moved=moved, stir=stir)
        if self.doubtful or seen is NOTHING:
            self._agrees_since_s = None
            return [wrong] if self.doubtful and wrong else []
        if self._agrees_since_s is None:
            self._agrees_since_s = t_s
        if seen.agreement > _SURE or t_s - self._agrees_since_s >= _AGREED_S:
            del self._remembered[look.grey]
            self._agrees_since_s = None
        return []

    def _judge(
        self, reference: Reference, look: Look, free: Bool, *, moved: float, stir: float
    ) -> tuple[Compared, str]:
        """How much of the reference is seen, and what is wrong, "": nothing; notes whether the view is doubtful."""
        seen = reference.compare(look, free)
        pushed = seen.agreement < _IN_PLACE and reference.moved(look, free)
        # Where it is dark, agreement is chance: whether it was moved is seen when there is light again.
        self.doubtful = pushed or (seen.agreement < _ANOTHER and look.brightness >= _BLACK)
        wrong = _wrong(look, seen, moved=moved, stir=stir)
        if pushed and wrong in {"", HIDDEN, SPRAYED, DEFOCUSED}:
            wrong = MOVED
        return seen, wrong

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
            since_s, last_s = self._since.get(state, (t_s, float("-inf")))
            if t_s - last_s > _FORGET_S:
                since_s = t_s
                if state in {COVERED, TURNED} and self._elsewhere_s is not None:
                    # Known for certain at rest only, but it began with the hand that did it.
                    since_s = max(self._elsewhere_s, t_s - min(_TURNING_S, _TURNING * self._dwell_s))
            self._since[state] = (since_s, t_s)

    def _limit(self, state: str) -> float:
        return self._limits.get(state, self._dwell_s)

    def _before(self, t_s: float) -> Look | None:
        """The look to hold one of now against, most of ``_EVERY_S`` older: in less time even what moves hardly changes."""
        while len(self._looks) > 1 and t_s - self._looks[1][0] >= 0.8 * _EVERY_S:
            self._looks.popleft()
        return self._looks[0][1] if self._looks else None

    def _jerked(self, image: U8, t_s: float) -> bool:
        """Whether the whole picture has changed, so that the next look must not wait: a glimpse costs next to nothing."""
        if not self._looks or t_s - self._looks[-1][0] < _SOON_S:
            return False
        now = _glimpse(image)
        if now.shape != self._glimpse.shape:
            return True
        return float(np.abs(now - self._glimpse).mean()) > max(_JERK_LEAST, _JERK * float(now.mean()))

    def _free(self, scene: Scene) -> Bool:
        tracks = scene.tracks
        boxes = tracks.xyxy[among(tracks.class_id, self._person_classes)]
        return free_of(boxes, scene.frame.size)


def _glimpse(image: U8) -> NDArray[np.int16]:
    """Some points of the picture (H, W, 3), green."""
    across, down = max(1, image.shape[1] // _GLIMPSE[0]), max(1, image.shape[0] // _GLIMPSE[1])
    return image[down // 2 :: down, across // 2 :: across, 1].astype(np.int16)


def _wrong(look: Look, seen: Compared, *, moved: float, stir: float) -> str:
    still = moved < max(_STILL_LEAST, _STILL * look.brightness)
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
