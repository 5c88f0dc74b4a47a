"""Repeating calls until a deadline, with a clock that the test moves."""

import threading

import pytest

from accel_track.delivery.retry import LONGEST_WAIT, Deadline, DeadlineReachedError, retrying


class Clock:
    """Monotonic seconds that pass only when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class PassingDeadline(Deadline):
    """Lets time pass instead of waiting."""

    def __init__(self):
        self.clock = Clock()
        self.waits = []
        super().__init__(self.clock)

    def wait(self, seconds):
        self.waits.append(seconds)
        self.clock.now += min(seconds, max(0.0, self.left))


def failing(times, error):
    def call(*arguments):
        call.made += 1
        if call.made <= times:
            raise error
        return arguments

    call.made = 0
    return call


def run(call, deadline, told=None):
    policy = retrying(
        transient=lambda error: isinstance(error, ConnectionError),
        deadline=deadline,
        before_retry=(told if told is not None else []).append,
    )
    return policy(call, "a", 1)


def test_a_call_that_succeeds_is_made_once():
    deadline, told = PassingDeadline(), []
    call = failing(0, None)
    assert run(call, deadline, told) == ("a", 1)
    assert (call.made, deadline.waits, told) == (1, [], [])


def test_transient_errors_are_told_and_waited_out_for_as_long_as_there_is_no_deadline():
    deadline, told, error = PassingDeadline(), [], ConnectionError("down")
    call = failing(500, error)
    assert run(call, deadline, told) == ("a", 1)
    assert told == [error] * 500
    assert len(deadline.waits) == 500


def test_pauses_grow_are_random_and_have_a_limit():
    waits = []
    for _ in range(20):
        deadline = PassingDeadline()
        run(failing(40, ConnectionError()), deadline)
        waits.append(deadline.waits)
    assert all(0.05 <= wait <= LONGEST_WAIT for one in waits for wait in one)
    assert max(one[0] for one in waits) <= 0.5
    assert max(one[-1] for one in waits) > 10
    assert len({one[-1] for one in waits}) == 20


def test_an_error_that_does_not_pass_is_raised_at_once():
    deadline, told = PassingDeadline(), []
    call = failing(9, ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        run(call, deadline, told)
    assert (call.made, deadline.waits, told) == (1, [], [])


def test_the_deadline_ends_the_repetitions_and_the_last_error_is_the_cause():
    deadline, error = PassingDeadline(), ConnectionError("down")
    deadline.set(60.0)
    call = failing(10**6, error)
    with pytest.raises(DeadlineReachedError) as caught:
        run(call, deadline)
    assert caught.value.__cause__ is error
    assert deadline.left <= 0
    assert deadline.clock.now == 160.0
    assert call.made >= 3


def test_after_the_deadline_a_call_is_tried_once():
    deadline = PassingDeadline()
    deadline.set(0.0)
    call = failing(9, ConnectionError())
    with pytest.raises(DeadlineReachedError):
        run(call, deadline)
    assert (call.made, deadline.waits) == (1, [])


def test_a_deadline_is_relative_to_the_clock():
    clock = Clock()
    deadline = Deadline(clock)
    assert deadline.left == float("inf")
    deadline.set(5.0)
    assert deadline.left == 5.0
    clock.now += 7
    assert deadline.left == -2.0


@pytest.mark.parametrize("end", [lambda deadline: deadline.set(0.0), lambda deadline: deadline.wake()])
def test_a_wait_ends_when_the_deadline_is_set_or_somebody_wakes_it(end):
    deadline = Deadline()
    waiting = threading.Thread(target=deadline.wait, args=(1000.0,))
    waiting.start()
    end(deadline)
    waiting.join(30)
    assert not waiting.is_alive()


def test_a_wait_ends_with_the_deadline():
    deadline = Deadline()
    deadline.set(0.01)
    deadline.wait(0)
    deadline.wait(1000.0)
    assert deadline.left <= 0
