from __future__ import annotations

import numpy as np
import pytest

from export.scenes import mesh
from export.scenes.actor import Actor, Step, smoothed
from export.scenes.body import Body, Clothes, body_names
from export.scenes.pose import ACTIONS, X, blended, merged, turn, walk
from export.scenes.props import HELD, WORN, in_hand, worn
from export.scenes.rooms import ROOMS
from export.scenes.view import View, contains


@pytest.fixture(scope="module")
def body() -> Body:
    return Body(shape="man", height_m=1.78, clothes=Clothes())


def test_a_point_straight_ahead_is_in_the_middle_of_the_picture() -> None:
    view = View((0, 0, 2), yaw_deg=90, pitch_deg=45, hfov_deg=80)
    assert view.project(np.array([[0.0, 2.0, 0.0]]))[0] == pytest.approx([320, 180], abs=1e-6)


def test_right_of_the_camera_is_right_in_the_picture_and_behind_it_is_nowhere() -> None:
    view = View((0, 0, 2), yaw_deg=90, pitch_deg=20, hfov_deg=80)
    right, behind = view.project(np.array([[1.0, 3.0, 0.0], [0.0, -3.0, 0.0]]))
    assert right[0] > 320
    assert np.isnan(behind).all()


def test_a_floor_polygon_is_cut_at_the_picture_and_keeps_its_inside() -> None:
    view = ROOMS["lobby"](None).views["corner"]
    floor = [(0.0, 0.0), (4.2, 0.0), (4.2, 5.6), (0.0, 5.6)]
    polygon = view.floor_polygon(floor)
    assert np.min(polygon) >= -1e-9
    assert np.max(polygon) <= 1 + 1e-9
    rng = np.random.default_rng(3)
    for x, y in rng.uniform((0.1, 0.5), (4.1, 5.5), (200, 2)):
        u, v = view.project(np.array([[x, y, 0.0]]))[0] / (view.width, view.height)
        if 0 < u < 1 and 0 < v < 1:
            assert contains(polygon, u, v)


def test_a_polygon_behind_the_camera_is_out_of_sight() -> None:
    view = View((0, 0, 2), yaw_deg=90, pitch_deg=20, hfov_deg=80)
    assert len(view.floor_polygon([(-1, -5), (1, -5), (1, -4), (-1, -4)])) < 3


@pytest.mark.parametrize("shape", body_names())
def test_every_body_stands_on_the_floor_at_its_height_and_faces_where_it_should(shape: str) -> None:
    body = Body(shape=shape, height_m=1.7, clothes=Clothes())
    posed = body.pose(walk(body.limbs, 0.0, 0.0), place=(2.0, 3.0), heading_deg=90)
    low, high = posed.position.min(0), posed.position.max(0)
    assert low[2] == pytest.approx(0.0, abs=1e-5)
    assert 1.66 < high[2] < 1.80  # shoes and hair come on top; knees and neck are not quite straight
    assert (low + high)[:2] / 2 == pytest.approx([2.0, 3.0], abs=0.15)
    toes, heel = posed.joint["toe1-1.R"][1], posed.joint["foot.R"][1]
    assert toes[1] > heel[1]


def test_normals_point_outward_and_are_of_unit_length(body: Body) -> None:
    posed = body.pose(walk(body.limbs, 0.0, 0.0), place=(0, 0), heading_deg=0)
    assert (np.abs(np.linalg.norm(posed.normal, axis=1) - 1) < 1e-3).mean() > 0.999
    spine = [i for i, label in enumerate(body.mesh.labels) if label.startswith("spine")]
    trunk = body.mesh.weights[:, spine].sum(1) > 0.95
    from_axis = posed.position[trunk, :2] - posed.position[trunk, :2].mean(0)
    assert (np.einsum("ni,ni->n", from_axis, posed.normal[trunk, :2]) > 0).mean() > 0.9


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_action_is_a_pose_of_rotations_on_the_floor(body: Body, action: str) -> None:
    pose = merged(walk(body.limbs, 0.0, 0.0), ACTIONS[action](body.limbs, 1.3))
    for rotation in pose.values():
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-9)
    posed = body.pose(pose, place=(0, 0), heading_deg=0)
    assert posed.position[:, 2].min() == pytest.approx(0.0, abs=1e-5)


def test_who_lies_is_long_and_low_and_who_crouches_is_lower_than_who_stands(body: Body) -> None:
    def height(action: str) -> float:
        pose = merged(walk(body.limbs, 0.0, 0.0), ACTIONS[action](body.limbs, 1.3))
        return float(np.ptp(body.pose(pose, place=(0, 0), heading_deg=0).position[:, 2]))

    assert height("lie") < 0.65
    assert 0.8 < height("crouch") < 1.35
    assert height("loiter") > 1.7


def test_planted_feet_stay_where_they_stood(body: Body) -> None:
    pose = merged(walk(body.limbs, 0.0, 0.0), ACTIONS["crouch"](body.limbs, 1.0))
    posed = body.pose(pose, place=(1.0, 2.0), heading_deg=30, plant=1.0)
    feet = np.mean([posed.joint[f"foot.{s}"][1] for s in "LR"], axis=0)
    assert feet[:2] == pytest.approx([1.0, 2.0], abs=0.12)


def test_blending_ends_in_either_pose() -> None:
    a, b = {"head": turn(X, 10)}, {"head": turn(X, 50), "neck01": turn(X, 20)}
    assert blended(a, b, 0.0) == a
    assert blended(a, b, 1.0)["neck01"] == pytest.approx(b["neck01"])
    assert blended(a, b, 0.5)["head"] == pytest.approx(turn(X, 30), abs=1e-6)


def _actor(body: Body, *steps: Step) -> Actor:
    return Actor(person_id=1, name="a", body=body, steps=steps, duration_s=10.0)


def test_a_walker_heads_where_it_goes_and_a_stander_where_it_is_told(body: Body) -> None:
    actor = _actor(body, Step(0, 0, 0), Step(4, 4, 0, 90, "use_machine"), Step(10, 4, 0, 90, "use_machine"))
    assert actor.action[200] == "walk"
    assert actor.heading_deg[200] == pytest.approx(0.0, abs=1)
    assert actor.action[800] == "use_machine"
    assert actor.heading_deg[800] == pytest.approx(90.0, abs=1)
    assert actor.shares(8.0)["use_machine"] == pytest.approx(1.0, abs=1e-6)
    assert actor.shares(1.0)["use_machine"] == pytest.approx(0.0, abs=1e-6)
    assert not actor.there(10.01)


def test_feet_do_not_slide_while_they_bear(body: Body) -> None:
    actor = _actor(body, Step(0, 0, 0), Step(10, 11, 0))
    lowest = []
    for t in np.arange(4.0, 6.0, 0.04):
        posed = actor.pose(float(t))
        lowest.append(min((posed.joint[f"toe2-1.{s}"][1] for s in "LR"), key=lambda p: p[2]))
    step = np.abs(np.diff([p[0] for p in lowest]))
    assert np.median(step) < 0.45 * 0.04 * 1.1  # well below the speed of the body


def test_smoothing_keeps_a_constant_and_the_ends() -> None:
    assert smoothed(np.full(50, 3.0), 5) == pytest.approx(np.full(50, 3.0))
    ramp = smoothed(np.arange(500.0), 5)
    assert ramp[250] == pytest.approx(250.0)


@pytest.mark.parametrize("name", sorted(HELD))
def test_what_is_held_is_at_the_right_hand(body: Body, name: str) -> None:
    pose = merged(walk(body.limbs, 0.0, 0.0), ACTIONS["hold"](body.limbs, 0.0), body.limbs.hand("R", curl=62))
    posed = body.pose(pose, place=(1, 1), heading_deg=45)
    thing = in_hand(name, posed)
    far = np.linalg.norm(thing[:, mesh.POSITION] - posed.joint["finger3-1.R"][1], axis=1)
    assert far.min() < 0.13
    assert far.max() < 1.2
    assert thing[:, mesh.POSITION][:, 2].min() > -0.05


@pytest.mark.parametrize("name", sorted(WORN))
def test_what_is_worn_is_round_the_head(body: Body, name: str) -> None:
    posed = body.pose(walk(body.limbs, 0.0, 0.0), place=(1, 1), heading_deg=45)
    cover = worn(name, body, posed)
    used = cover.vertices if cover.faces is None else cover.vertices[np.unique(cover.faces)]
    far = np.linalg.norm(used[:, mesh.POSITION] - posed.joint["head"][1], axis=1)
    assert far.max() < 0.32
    assert len(used) > 50


def test_solids_have_normals_that_point_outward() -> None:
    for solid in (
        mesh.box((-1, -1, -1), (1, 1, 1), (1, 1, 1)),
        mesh.tube([(0, 0, -1), (0, 0, 1)], [0.5, 0.5], (1, 1, 1)),
        mesh.shell((1, 2, 3), (1, 1, 1), mesh.Material.PLAIN),
    ):
        out = np.einsum("ni,ni->n", solid[:, mesh.POSITION], solid[:, mesh.NORMAL])
        assert (out > -1e-6).all()


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_every_room_is_complete(name: str) -> None:
    room = ROOMS[name](None)
    assert set(room.views) == {"corner", "overhead", "machine"}
    assert {"day", "evening", "night", "screen_only", "back_light", "ir"} == set(room.levels)
    lamps = {light.name for light in room.lights} | {"sky"}
    assert all(set(levels) <= lamps for levels in room.levels.values())
    for view in room.views.values():
        assert len(view.floor_polygon(room.areas[0].floor)) > 2
    assert np.isfinite(room.still).all()
