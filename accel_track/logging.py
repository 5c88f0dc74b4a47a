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
    """A logger whose messages the main process alone writes, unless a call says otherwise."""

    def process(self, msg: Any, kwargs: Any) -> tuple[str, Any]:
        """Put the rank in front of a message; called by the standard library.

        Args:
            msg: The message.
            kwargs: Keyword arguments of the call.
        """
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
            level: A level of the standard library, such as `logging.INFO`.
            msg: The message, or an object whose text it is.
            *args: Values of the message's placeholders.
            main_process_only: Whether only the main process writes the message; without effect with `in_order`.
            in_order: Whether all processes write the message, one after another by rank. The call is collective then,
                for all processes that write that level.
            **kwargs: Further arguments of `logging.Logger.log`.
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
        """Write a warning, the first time only.

        Args:
            *args: Arguments of `warning`, which must be hashable.
            **kwargs: Keyword arguments of `log`.
        """
        self.warning(*args, **kwargs)


def get_logger(name: str, log_level: str | None = None) -> MultiProcessAdapter:
    """Return a logger of the standard library that knows the rank.

    Args:
        name: Name of the logger, usually `__name__`.
        log_level: Name of a level, for this logger and the root logger. Default: the variable `ACCELERATE_LOG_LEVEL`;
            if that is not set, levels stay as they are.

    Raises:
        ValueError: The level is unknown.
    """
    log_level = os.environ.get("ACCELERATE_LOG_LEVEL") if log_level is None else log_level
    logger = logging.getLogger(name)
    if log_level is not None:
        logger.setLevel(log_level.upper())
        logging.root.setLevel(log_level.upper())
    return MultiProcessAdapter(logger, {})
