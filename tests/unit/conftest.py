"""What tests of single parts share."""

import contextlib
import dis
import functools
import itertools
import sys
import types
from collections.abc import Callable, Iterator

import pytest


@functools.cache
def after_calls(code: types.CodeType) -> frozenset[int]:
    """Return the places in a function's code that follow a call."""
    pairs = itertools.pairwise(dis.get_instructions(code))
    return frozenset(following.offset for one, following in pairs if one.opname.startswith("CALL"))


@contextlib.contextmanager
def interrupted(point: int, handler: Callable[[], object]) -> Iterator[list[object]]:
    """Run a signal handler's code after the point-th call in what writes the journal, where the interpreter would."""
    calls, results = itertools.count(), []

    def trace(frame, *_):
        if not frame.f_code.co_filename.endswith(("writer.py", "segment.py", "keysets.py")):
            return None
        ends = after_calls(frame.f_code)
        frame.f_trace_opcodes = True

        def each(frame, event, _):
            if event == "opcode" and frame.f_lasti in ends and next(calls) == point:
                results.append(handler())
            return each

        return each

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks at `settrace` whether any frame has it
    sys.settrace(trace)
    try:
        yield results
    finally:
        sys.settrace(before)


@pytest.fixture
def after_call() -> Callable[..., contextlib.AbstractContextManager[list[object]]]:
    return interrupted
