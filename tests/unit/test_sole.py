"""The one place that an SDK has in a process, with a manual clock."""

import gc

import pytest

from accel_track.errors import AccelTrackWarning, MadeWayError
from accel_track.testing.doubles import RecordingTracker
from accel_track.trackers.sole import PATIENCE, QUIET, Sole, SoleTracker


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class OneRunTracker(RecordingTracker):
    ended = 0

    def finish(self) -> None:
        self.ended += 1


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def place(clock: Clock) -> Sole:
    return Sole(clock, clock.sleep)


def test_a_run_that_nobody_finished_is_closed_once_it_is_quiet(place: Sole, clock: Clock) -> None:
    first, second = OneRunTracker(), OneRunTracker()
    place.take(first)
    with place.using(first, stores=True):
        pass
    place.take(second)
    assert (first.ended, second.ended, place.holder) == (1, 0, second)
    assert clock.now == pytest.approx(100 + QUIET, abs=0.2)
    with pytest.raises(MadeWayError, match="one run a process"), place.using(first):
        pass
    with place.using(second):
        pass


def test_what_is_not_stored_is_waited_for(place: Sole, clock: Clock) -> None:
    first, second = OneRunTracker(), OneRunTracker()
    place.take(first)
    with place.using(first):
        pass
    place.take(second)
    assert clock.now == pytest.approx(100 + PATIENCE, abs=0.2)
    assert first.ended == 1


@pytest.mark.first(1)
@pytest.mark.parametrize("how", ["finished", "collected", "the same"])
def test_a_free_place_is_taken_at_once(how: str, place: Sole, clock: Clock) -> None:
    first, second = OneRunTracker(), OneRunTracker()
    place.take(first)
    if how == "finished":
        place.leave(first)
        place.leave(second)  # which has none
    elif how == "collected":
        del first
        gc.collect()
    else:
        second = first
    place.take(second)
    assert (clock.now, second.ended, place.holder) == (100, 0, second)


def test_a_tracker_that_made_way_may_start_again(place: Sole) -> None:
    first, second = OneRunTracker(), OneRunTracker()
    for tracker in (first, second, first):
        place.take(tracker)
    with place.using(first):
        pass
    assert (first.ended, second.ended) == (1, 1)


def test_an_earlier_run_that_cannot_be_finished_is_none_of_the_next_ones_trouble(place: Sole) -> None:
    class Stuck(OneRunTracker):
        def finish(self) -> None:
            raise RuntimeError("stuck")

    first, second = Stuck(), OneRunTracker()
    place.take(first)
    with pytest.warns(AccelTrackWarning, match="the run before could not be finished .*stuck"):
        place.take(second)
    assert place.holder is second


class ClosingTracker(SoleTracker):
    """Closes its run once, also where another run begins while `finish` waits for its flush."""

    name = "closing"
    requires_logging_directory = False
    sdk = "json"  # any module

    def __init__(self, place: Sole) -> None:
        super().__init__()
        self.place = place  # type: ignore[misc]
        self.closed: list[object] = []
        self.begins_meanwhile: list[ClosingTracker] = []

    def open(self, sdk: object) -> object:
        assert self.clear(lambda: None, self.closed.append) is None
        return object()

    def close(self, native: object) -> None:
        self.closed.append(native)

    def flush(self) -> None:
        if self.begins_meanwhile:
            self.begins_meanwhile.pop().start()


def test_a_run_that_makes_way_while_it_finishes_is_closed_once(place: Sole) -> None:
    first, second = ClosingTracker(place), ClosingTracker(place)
    first.start()
    native = first.tracker
    first.begins_meanwhile.append(second)
    first.finish()
    assert (first.closed, second.closed, place.holder) == ([native], [], second)
    for call in (lambda: first.tracker, lambda: first.log({"m": 1.0}, step=0)):
        with pytest.raises(MadeWayError, match="one run a process"):
            call()
    first.start()
    assert (second.started, place.holder) == (False, first)


def test_a_run_of_the_programs_own_is_returned_and_one_that_is_left_is_ended(place: Sole) -> None:
    tracker, own, left = ClosingTracker(place), OneRunTracker(), OneRunTracker()
    place.ours.add(left)
    ended: list[object] = []
    assert tracker.clear(lambda: own, ended.append) is own
    assert (ended, place.holder) == ([], None)
    assert tracker.clear(lambda: left, ended.append) is None
    assert (ended, place.holder) == ([left], tracker)
