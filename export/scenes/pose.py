"""Rotations of bones: arms, hands, the walk, and what people do in a lobby.

A pose maps bone names to 3x3 rotations about world axes at the bone's rest head. Rest: z up, the body faces -y, its
right side is at -x. Angles are degrees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.types import F64

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Pose = dict[str, F64]

X, Y, Z = np.eye(3)


def turn(axis: F64, degrees: float) -> F64:
    """The 3x3 rotation about an axis (need not be of unit length)."""
    a = np.radians(degrees)
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    out: F64 = np.eye(3) + np.sin(a) * cross + (1 - np.cos(a)) * cross @ cross
    return out


def merged(*poses: Pose) -> Pose:
    """Later poses replace the bones of earlier ones."""
    out: Pose = {}
    for pose in poses:
        out.update(pose)
    return out


def blended(a: Pose, b: Pose, share: float) -> Pose:
    """Between two poses (share 0: a, 1: b): rotation matrices averaged and made orthogonal again."""
    if share <= 0 or not (a or b):
        return a
    names = sorted(set(a) | set(b))
    still = np.eye(3)
    mix = np.stack([(1 - share) * a.get(n, still) + share * b.get(n, still) for n in names])
    u, _, vt = np.linalg.svd(mix)
    u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
    return dict(zip(names, u @ vt, strict=True))


class Limbs:
    """Arms and hands of one body, from where its joints are at rest.

    :param joints: bone name -> rest position of its head (3,), metres.
    """

    def __init__(self, joints: Mapping[str, F64]) -> None:
        self._at = joints

    def arm(self, side: str, *, forward: float, out: float, elbow: float, twist: float = 0.0) -> Pose:
        """``forward``: upper arm forward; ``out``: away from the body; ``elbow``: 0 is straight. ``side``: R or L."""
        sign = 1 if side == "R" else -1
        upper = self._at[f"lowerarm01.{side}"] - self._at[f"upperarm01.{side}"]
        lower = self._at[f"wrist.{side}"] - self._at[f"lowerarm01.{side}"]
        upper, lower = upper / np.linalg.norm(upper), lower / np.linalg.norm(lower)
        rest_out = np.degrees(np.arctan2(-sign * upper[0], -upper[2]))
        hinge = np.cross(upper, lower)
        rest_elbow = np.degrees(np.arcsin(np.linalg.norm(hinge)))
        # A quarter of the way is the shoulder blade's: all of it in one joint folds the shoulder into an edge.
        lift = sign * (out - rest_out)
        girdle = turn(Y, 0.22 * lift)
        return {
            f"shoulder01.{side}": girdle,
            f"upperarm01.{side}": girdle.T @ turn(X, -forward) @ turn(Z, sign * twist) @ turn(Y, lift),
            f"lowerarm01.{side}": turn(hinge, elbow - rest_elbow),
        }

    def hand(self, side: str, *, curl: float, thumb: float = 30.0) -> Pose:
        """Fingers bent by ``curl`` at the knuckles: about 20 hangs loosely, 55 and more grips."""
        at = self._at
        index, middle, little = (at[f"finger{n}-1.{side}"] for n in (2, 3, 5))
        wrist, tip = at[f"wrist.{side}"], at[f"finger1-3.{side}"]
        axis = little - index
        axis = axis / np.linalg.norm(axis)
        palm = np.cross(axis, middle - wrist)
        sign = 1.0 if np.dot(palm, tip - (index + wrist) / 2) > 0 else -1.0
        out: Pose = {}
        for finger in "2345":
            for joint, share in (("1", 1.0), ("2", 1.3), ("3", 0.8)):
                out[f"finger{finger}-{joint}.{side}"] = turn(axis, sign * curl * share)
        for joint in ("2", "3"):
            out[f"finger1-{joint}.{side}"] = turn(axis, sign * min(thumb, curl))
        return out


def _leg(side: str, *, hip: float, knee: float, ankle: float = 0.0, out: float = 0.0) -> Pose:
    sign = 1 if side == "R" else -1
    return {
        f"upperleg01.{side}": turn(X, -hip) @ turn(Y, sign * out),
        f"lowerleg01.{side}": turn(X, knee),
        f"foot.{side}": turn(X, -ankle),
    }


def _curve(at: list[float], degrees: list[float]) -> F64:
    """One joint over one cycle of the walk, smooth, at 201 phases."""
    values = np.interp(np.linspace(0, 1, 201), at, degrees)
    window = np.hanning(15)
    padded = np.concatenate([values[-15:-1], values, values[1:15]])
    smooth: F64 = np.convolve(padded, window / window.sum(), "same")[14:-14]
    return smooth


_PHASES = np.linspace(0, 1, 201)
_HIP = _curve([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9, 1], [28, 26, 19, 9, 0, -9, -11, -7, 9, 24, 30, 28])
_KNEE = _curve(
    [0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 1],
    [3, 14, 17, 16, 9, 5, 10, 33, 57, 58, 48, 17, 5, 3],
)
_ANKLE = _curve([0, 0.07, 0.2, 0.4, 0.5, 0.6, 0.65, 0.75, 0.9, 1], [0, -6, 4, 10, 5, -17, -15, -2, 1, 0])


def walk(limbs: Limbs, phase: float, amount: float) -> Pose:
    """Textbook joint curves. ``phase``: cycles (1 = two steps, 0 = left heel strikes); ``amount`` 0..1, 0 stands."""
    pose: Pose = {}
    for side, offset, sign in (("L", 0.0, 1), ("R", 0.5, -1)):
        p = (phase + offset) % 1
        hip, knee, ankle = (float(np.interp(p, _PHASES, table)) * amount for table in (_HIP, _KNEE, _ANKLE))
        pose[f"upperleg01.{side}"] = turn(Y, sign * 3.5) @ turn(X, -hip)
        pose[f"lowerleg01.{side}"] = turn(X, knee)
        pose[f"foot.{side}"] = turn(X, -ankle) @ turn(Y, -sign * 2.5)
        swing = np.cos(2 * np.pi * (p - 0.05))
        forward, elbow = amount * (-20 * swing + 4), 14 + amount * 14 * (1 - swing) / 2
        pose.update(limbs.arm(side, forward=forward, out=8, elbow=elbow))
        pose.update(limbs.hand(side, curl=24))
    p = 2 * np.pi * phase
    pose["spine03"] = turn(Z, amount * 5 * np.cos(p)) @ turn(X, 3 * amount)
    pose["root"] = turn(Z, -amount * 4 * np.cos(p))
    return pose


def _use_machine(limbs: Limbs, t: float) -> Pose:
    tap = 6 * np.sin(6 * t)
    return merged(
        limbs.arm("R", forward=42, out=4, elbow=62 + tap),
        limbs.hand("R", curl=35),
        limbs.arm("L", forward=12, out=10, elbow=30),
        {"neck02": turn(X, 16), "head": turn(X, 10), "spine03": turn(X, 6)},
    )


def _loiter(limbs: Limbs, t: float) -> Pose:
    look = 0.5 + 0.5 * np.sin(0.7 * t)
    return merged(
        limbs.arm("R", forward=10, out=10, elbow=35),
        limbs.arm("L", forward=-4, out=12, elbow=25),
        {
            "head": turn(Z, 42 * np.sin(0.9 * t)) @ turn(X, 4 * look),
            "upperleg01.R": turn(X, -4) @ turn(Y, -4),
            "upperleg01.L": turn(Y, 4),
        },
    )


def _text(limbs: Limbs, t: float) -> Pose:
    return merged(
        limbs.arm("R", forward=22, out=8, elbow=105 + 2 * np.sin(3 * t)),
        limbs.hand("R", curl=45),
        {"neck02": turn(X, 16), "head": turn(X, 14)},
    )


def _phone(limbs: Limbs, t: float) -> Pose:
    return merged(
        limbs.arm("R", forward=38, out=26, elbow=138),
        limbs.hand("R", curl=45),
        {"head": turn(Z, 14 * np.sin(0.8 * t)) @ turn(Y, -6)},
    )


def _crouch(limbs: Limbs, t: float) -> Pose:
    return merged(
        *(_leg(s, hip=92, knee=118, ankle=26, out=-9) for s in "LR"),
        limbs.arm("R", forward=58, out=8, elbow=40 + 8 * np.sin(4 * t)),
        limbs.arm("L", forward=52, out=8, elbow=48),
        {"spine05": turn(X, 10), "spine03": turn(X, 14), "neck02": turn(X, 10)},
    )


def _reach(limbs: Limbs, t: float) -> Pose:
    return merged(
        limbs.arm("R", forward=82 + 4 * np.sin(2 * t), out=6, elbow=12),
        limbs.arm("L", forward=10, out=12, elbow=25),
        {"spine05": turn(X, 8), "spine03": turn(X, 12), "root": turn(X, 3)},
    )


def _raise(limbs: Limbs, t: float) -> Pose:
    """A weapon or tool swung from above."""
    swing = 0.5 + 0.5 * np.sin(5.5 * t)
    return merged(
        limbs.arm("R", forward=70 + 75 * swing, out=14, elbow=30 + 65 * swing),
        limbs.arm("L", forward=35, out=15, elbow=50),
        {"spine03": turn(X, 14 - 16 * swing), "spine05": turn(X, 4)},
    )


def _aim(limbs: Limbs, t: float) -> Pose:
    return merged(
        limbs.arm("R", forward=84 + np.sin(2 * t), out=4, elbow=6),
        limbs.arm("L", forward=80, out=-14, elbow=24),
        {"head": turn(X, 2)},
    )


def _carry(limbs: Limbs, t: float) -> Pose:
    """A long thing held across the body in both hands."""
    return merged(
        limbs.arm("R", forward=18, out=14, elbow=72 + np.sin(t)),
        limbs.arm("L", forward=52, out=4, elbow=58),
        limbs.hand("L", curl=55),
    )


def _hold(limbs: Limbs, t: float) -> Pose:
    """Something in the right hand, in front of the body, in sight."""
    return merged(limbs.arm("R", forward=24 + 2 * np.sin(1.3 * t), out=14, elbow=58))


def _stick(limbs: Limbs, t: float) -> Pose:
    return merged(limbs.arm("R", forward=14 + np.sin(t), out=12, elbow=22), {"spine05": turn(X, 7)})


def _overhead(limbs: Limbs, t: float) -> Pose:
    """An umbrella held up."""
    return merged(limbs.arm("R", forward=40 + np.sin(t), out=10, elbow=100))


def _pry(limbs: Limbs, t: float) -> Pose:
    pull = np.sin(4.2 * t)
    return merged(
        limbs.arm("R", forward=58 + 9 * pull, out=8, elbow=42 - 14 * pull),
        limbs.arm("L", forward=52 + 9 * pull, out=-6, elbow=52 - 14 * pull),
        limbs.hand("L", curl=60),
        _leg("R", hip=18, knee=30, ankle=10, out=-6),
        _leg("L", hip=-8, knee=16, ankle=24, out=-6),
        {"spine05": turn(X, 14 + 5 * pull), "spine03": turn(X, 16 + 5 * pull), "neck02": turn(X, 8)},
    )


def _struggle(limbs: Limbs, t: float) -> Pose:
    a, b = np.sin(7.1 * t), np.sin(5.3 * t + 1.0)
    return merged(
        limbs.arm("R", forward=62 + 32 * a, out=18 + 12 * b, elbow=55 - 25 * a),
        limbs.arm("L", forward=58 - 30 * b, out=18 + 12 * a, elbow=60 + 25 * b),
        limbs.hand("R", curl=60),
        limbs.hand("L", curl=60),
        _leg("R", hip=22 + 14 * b, knee=34 + 12 * a, ankle=8, out=-8),
        _leg("L", hip=4 - 14 * b, knee=24 - 10 * a, ankle=12, out=-8),
        {"spine05": turn(X, 10 + 8 * b), "spine03": turn(Z, 18 * a) @ turn(X, 12), "head": turn(Z, 16 * b)},
    )


def _hands_up(limbs: Limbs, t: float) -> Pose:
    return merged(*(limbs.arm(s, forward=60, out=48, elbow=95 + np.sin(2 * t)) for s in "LR"))


def _lie(limbs: Limbs, t: float) -> Pose:
    breath = np.sin(1.5 * t)
    return merged(
        limbs.arm("R", forward=10, out=42, elbow=35),
        limbs.arm("L", forward=6, out=26, elbow=18),
        _leg("R", hip=18, knee=34, ankle=-15, out=-8),
        _leg("L", hip=2, knee=6, ankle=-20, out=-8),
        {"root": turn(X, -88 + 0.4 * breath), "head": turn(Z, 24)},
    )


ACTIONS: dict[str, Callable[[Limbs, float], Pose]] = {
    "use_machine": _use_machine,
    "loiter": _loiter,
    "text": _text,
    "phone": _phone,
    "crouch": _crouch,
    "reach": _reach,
    "snatch": _reach,
    "raise": _raise,
    "aim": _aim,
    "carry": _carry,
    "hold": _hold,
    "stick": _stick,
    "overhead": _overhead,
    "pry": _pry,
    "struggle": _struggle,
    "hands_up": _hands_up,
    "lie": _lie,
}
"""What a standing person may do besides standing; ``t`` is seconds, so that the movement goes on."""

PLANTED = frozenset({"crouch", "pry", "struggle"})
"""Actions that bend the legs: the body is shifted so that the feet stay where they stood."""

WHILE_WALKING = frozenset({"hold", "carry", "stick", "overhead", "text", "phone", "aim"})
"""Actions of the arms alone: they go on when the person walks."""
