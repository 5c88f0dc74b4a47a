"""SIGTERM while something must not be interrupted."""

import os
import signal
import threading

import pytest

from accel_track.sigterm import sigterm_held_back


def test_the_handler_is_called_after_the_block() -> None:
    came: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append("handled"))
    try:
        with sigterm_held_back():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            came.append("inside")
        assert came == ["inside", "handled"]
        signal.raise_signal(signal.SIGTERM)
        assert came == ["inside", "handled", "handled"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_error_passes() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="planned"), sigterm_held_back():
        raise ValueError("planned")
    assert signal.getsignal(signal.SIGTERM) == before


def test_off_the_main_thread_nothing_is_held_back() -> None:
    handlers = []

    def look() -> None:
        with sigterm_held_back():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]


def test_a_forked_child_is_ended_at_once() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with sigterm_held_back():
            child = os.fork()
            if not child:
                signal.raise_signal(signal.SIGTERM)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, before)
