"""Messages of programs that run in several processes: loggers of the standard library that know the rank."""

from __future__ import annotations

import functools
import logging
import os
from typing import TYPE_CHECKING, Any

from accel_track.state import PartialState

__all__ = ["MultiProcessAdapter", "get_logger"]


if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:
    _Adapter = logging.LoggerAdapter  # takes no type before Python 3.11


class MultiProcessAdapter(_Adapter):
    """A logger whose messages are written by the main process, unless a call says otherwise."""

    def process(self, msg: Any, kwargs: Any) -> tuple[str, Any]:
        """Put the rank in front of a message."""
        msg, kwargs = super().process(msg, kwargs)
        kwargs.setdefault("stacklevel", 2)
        return f"[RANK {PartialState().process_index}] {msg}", kwargs

    def log(  # type: ignore[override] # with two more arguments
        self,
        level: int,
        msg: Any,
        *args: Any,
        main_process_only: bool = True,
        in_order: bool = False,
        **kwargs: Any,
    ) -> None:
        """Write a message of a level.

        Args:
            level: Level of the standard library.
            msg: The message, or an object of which `str` is the message.
            *args: What fills its placeholders.
            main_process_only: Whether only the main process writes it; without effect with `in_order`.
            in_order: Whether all processes write it, one after another by rank. A collective call then, of all
                processes that are set to write that level.
            **kwargs: Arguments of `logging.Logger.log`.
        """
        if not self.isEnabledFor(level):
            return
        state = PartialState()
        msg, kwargs = self.process(msg, kwargs)
        if in_order:
            for rank in range(state.num_processes):
                if rank == state.process_index:
                    self.logger.log(level, msg, *args, **kwargs)
                state.wait_for_everyone()
        elif not main_process_only or state.is_main_process:
            self.logger.log(level, msg, *args, **kwargs)

    @functools.cache  # noqa: B019 - loggers live as long as the program
    def warning_once(self, *args: Any, **kwargs: Any) -> None:
        """Write a warning, the first time only; its arguments must be hashable."""
        self.warning(*args, **kwargs)


def get_logger(name: str, log_level: str | None = None) -> MultiProcessAdapter:
    """Return the standard library's logger of a name, as one that knows the rank.

    Args:
        name: Name of the logger; `__name__` as a rule.
        log_level: Level by name, for this logger and the root logger. Default: `ACCELERATE_LOG_LEVEL`, where it is
            set; else levels stay as they are.

    Raises:
        ValueError: There is no such level.
    """
    log_level = os.environ.get("ACCELERATE_LOG_LEVEL") if log_level is None else log_level
    logger = logging.getLogger(name)
    if log_level is not None:
        logger.setLevel(log_level.upper())
        logging.root.setLevel(log_level.upper())
    return MultiProcessAdapter(logger, {})
