"""What tests of single parts share."""

import contextlib
import dis
import itertools
import sys
from collections.abc import Callable, Iterator

import pytest


@contextlib.contextmanager
def interrupted(point: int, handler: Callable[[], object]) -> Iterator[list[object]]:
    """Run a signal handler's code after the point-th call in what writes the journal, where the interpreter would."""
    calls, results = itertools.count(), []

    def trace(frame, *_):
        if not frame.f_code.co_filename.endswith(("writer.py", "segment.py", "keysets.py")):
            return None
        instructions = list(dis.get_instructions(frame.f_code))
        ends = {
            following.offset for one, following in itertools.pairwise(instructions) if one.opname.startswith("CALL")
        }
        frame.f_trace_opcodes = True

        def each(frame, event, _):
            if event == "opcode" and frame.f_lasti in ends and next(calls) == point:
                results.append(handler())
            return each

        return each

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield results
    finally:
        sys.settrace(before)


@pytest.fixture
def after_call() -> Callable[..., contextlib.AbstractContextManager[list[object]]]:
    return interrupted
