"""The feed of a page: everything at first, then what is new and no more."""

from base64 import b64decode
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import accel_track
from accel_track.journal.past import PastWriter
from accel_track.media import Histogram, Text
from accel_track.run import Run
from accel_track.views.media_calls import MediaCall, MediaCalls
from accel_track.views.metric import Points
from accel_track.views.report.curves import curve, limit_of
from accel_track.views.report.feed import Feed


@pytest.fixture
def run(tmp_path: Path) -> Any:
    with accel_track.init("p", project_dir=tmp_path, delivery="none") as begun:
        yield begun


def unpacked(packed: list[str]) -> list[float]:
    return np.frombuffer(b64decode(packed[1]), f"<{packed[0]}").tolist()


def feed_of(run: Run) -> Feed:
    assert run.run_directory is not None
    return Feed([run.run_directory], 1_000_000)


def test_only_what_is_new_is_given(run: Run) -> None:
    feed = feed_of(run)
    run.log({"a": 1.0, "b": 1.0, "note": Text("one")}, 0)
    first = feed.document()
    run.log({"a": 2.0}, 1)
    second = feed.document(first["version"])
    (found,) = second["runs"]
    assert (found["whole"], "media" in found, [name for name, _ in found["metrics"]]) == (False, False, ["a"])
    (news,) = found["metrics"][0][1]["curves"]
    assert (news["since"], unpacked(news["x"]), unpacked(news["y"])) == (1, [1], [2.0])
    assert feed.document(second["version"])["runs"][0]["metrics"] == []
    again = feed.document(first["version"])["runs"][0]  # another page, which is behind
    assert [name for name, _ in again["metrics"]] == ["a"]
    run.log({"note": Text("two")}, 2)
    assert feed.document(second["version"])["runs"][0]["media"][0]["calls"][-1]["items"][0]["text"] == "two"


def test_earlier_media_are_there_evenly_spaced_while_there_is_room(run: Run) -> None:
    for step in range(300):
        run.log({"many": Text("x" * 100), "few": Text("y")} if step % 100 == 0 else {"many": Text("x" * 100)}, step)
    run.log({"large": Text("z" * 9000)}, 300)
    assert run.run_directory is not None
    few, large, many = Feed([run.run_directory], 1_000_000).document()["runs"][0]["media"]
    assert [one["step"] for one in few["calls"]] == [0, 100, 200]
    steps = [one["step"] for one in many["calls"]]
    assert (len(steps), steps[0], steps[-1], many["logged"], large["logged"]) == (20, 0, 299, 300, 1)
    assert max(later - one for one, later in pairwise(steps)) <= 20
    feed = Feed([run.run_directory], 9700)  # for the last of each, and five of a hundred bytes more
    _, large, many = feed.document()["runs"][0]["media"]
    assert "text" in large["calls"][-1]["items"][0]
    assert [one["step"] for one in many["calls"]] == [0, 60, 120, 180, 240, 299]
    assert (feed.room.shown, feed.room.left_out) == (10, 0)


def test_what_is_drawn_once_is_not_drawn_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = feed_of(run)
    run.log({"counts": Histogram(list(range(100)))}, 0)
    feed.document()
    monkeypatch.setattr("accel_track.views.report.media.converted", None)
    run.log({"note": Text("one")}, 1)
    (drawn,) = feed.document()["runs"][0]["media"][0]["calls"][0]["items"]
    assert b64decode(drawn["data"]).startswith(b"\x89PNG")


def test_of_many_calls_evenly_spaced_ones_are_kept() -> None:
    calls, count = MediaCalls(), 0
    for most in (1, 2, 64, 127, 128, 129, 1000, 5000):
        for _ in range(count, most):
            calls.add(MediaCall("", calls.count, 0.0, 0))
        count = most
        steps = [one.step for one in calls.chosen(most)]
        assert (steps[0], steps[-1], calls.count) == (0, most - 1, most)
        assert min(64, most) <= len(steps) <= 129
        assert len({later - one for one, later in pairwise(steps[:-1])}) <= 1
        assert [one.step for one in calls.chosen(1)] == [most - 1]


def test_a_page_gets_everything_where_its_state_is_not_known_or_the_run_went_back(run: Run) -> None:
    feed = feed_of(run)
    for step in range(5):
        run.log({"a": float(step)}, step)
    version = feed.document()["version"]
    assert feed.document(12345)["runs"][0]["whole"]
    run.rewind(2)
    run.log({"a": 9.0}, 2)
    (found,) = feed.document(version)["runs"]
    assert found["whole"]
    assert unpacked(found["metrics"][0][1]["curves"][0]["y"]) == [0, 1, 9]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.1, 0.2, 0.3], "f4"),
        ([1e300, 0.0], "f8"),
        ([1e9, 1e9 + 1], "f8"),  # 32 bits have no step between them
        ([0.001] * 4, "f4"),
        ([np.nan, np.inf], "f4"),
        ([1e308, -1e308], "f8"),
        ([1e-300, 2e-300], "f8"),
        ([], "f4"),
    ],
)
def test_numbers_have_as_many_bits_as_the_eye_needs(values: list[float], kind: str) -> None:
    found = np.array(values, float)
    packed = curve(0, Points(np.arange(len(found)), np.zeros(len(found)), found), 0.0, 100)
    assert packed["y"][0] == kind
    np.testing.assert_allclose(unpacked(packed["y"]), found, rtol=1e-6)


def test_steps_that_32_bits_do_not_have() -> None:
    steps = np.array([0, 2**40])
    packed = curve(0, Points(steps, np.zeros(2), np.zeros(2)), 0.0, 100)
    assert unpacked(packed["x"]) == steps.tolist()


def test_the_more_curves_the_fewer_points() -> None:
    assert [limit_of(count) for count in (0, 250, 5000, 10**6)] == [1000, 1000, 50, 40]


def test_each_rank_has_a_curve(run: Run) -> None:
    run.log({"a": 1.0}, 0)
    assert run.run_directory is not None
    other = PastWriter(run.run_directory.rank(1), 1.0)
    other.metrics({"a": 2.0}, 0, {})
    other.close()
    ((_, found),) = feed_of(run).document()["runs"][0]["metrics"]
    assert [(one["rank"], unpacked(one["y"])) for one in found["curves"]] == [(0, [1.0]), (1, [2.0])]
