"""Two doubles of a tracker, for tests of its callers: one remembers its calls, one fails."""

from __future__ import annotations

from typing import Any

from accel_track.trackers.base import GeneralTracker


class RecordingTracker(GeneralTracker):
    """A tracker that remembers its calls, as tuples `(method, arguments…)` in the list `calls`.

    The methods are "start", "config", "log", "rewind", "checkpoint", "describe", "delete", "flush" and "finish".

    Args:
        run_name: Name of the project or run.
        **init_kwargs: Further arguments, kept in the attribute `init_kwargs`.
    """

    name = "recording"
    requires_logging_directory = False

    def __init__(self, run_name: str = "recording", **init_kwargs: Any) -> None:
        """Keep the arguments."""
        super().__init__()
        self.run_name = run_name
        self.init_kwargs = init_kwargs
        self.calls: list[tuple[Any, ...]] = []

    @property
    def tracker(self) -> list[tuple[Any, ...]]:
        """The list of calls."""
        return self.calls

    def start(self) -> None:
        """Remember the call."""
        self.calls.append(("start",))

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Remember the call."""
        self.calls.append(("config", values))

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Remember the call."""
        self.calls.append(("log", values, step, kwargs))

    def rewind(self, step: int) -> None:
        """Remember the call."""
        self.calls.append(("rewind", step))

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Remember the call."""
        self.calls.append(("checkpoint", name, path, step, values))

    def describe_checkpoint(self, name: str, step: int | None, values: dict[str, Any]) -> None:
        """Remember the call."""
        self.calls.append(("describe", name, step, values))

    def delete_checkpoint(self, name: str) -> None:
        """Remember the call."""
        self.calls.append(("delete", name))

    def flush(self) -> None:
        """Remember the call."""
        self.calls.append(("flush",))

    def finish(self) -> None:
        """Remember the call."""
        self.calls.append(("finish",))


class FaultyTracker(RecordingTracker):
    """A tracker that remembers its calls, and raises an error in some of them.

    Args:
        *fails: The calls that raise the error: "start", "config", "log", "flush" and "finish".
        error: The error. Default: a RuntimeError.
    """

    name = "faulty"

    def __init__(self, *fails: str, error: Exception | None = None) -> None:
        """Keep the names of the failing calls."""
        super().__init__()
        self.fails = fails
        self.error = error or RuntimeError("faulty on purpose")

    def _fail(self, what: str) -> None:
        if what in self.fails:
            raise self.error

    def start(self) -> None:
        """Remember the call; fail if asked to."""
        super().start()
        self._fail("start")

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Remember the call; fail if asked to."""
        super().store_init_configuration(values)
        self._fail("config")

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Remember the call; fail if asked to."""
        super().log(values, step, **kwargs)
        self._fail("log")

    def flush(self) -> None:
        """Remember the call; fail if asked to."""
        super().flush()
        self._fail("flush")

    def finish(self) -> None:
        """Remember the call; fail if asked to."""
        super().finish()
        self._fail("finish")
