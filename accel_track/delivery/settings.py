"""The settings of a run: arguments, else environment variables, else defaults."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, get_args

from accel_track.resume import Resume

Delivery = Literal["thread", "process", "inline", "none"]
OnError = Literal["warn", "raise"]
Durability = Literal["process", "power"]

_AGE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([mhd])", re.ASCII)
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
_AGES = {"all": float("inf"), "pending": 0.0}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Options(TypedDict, total=False):
    """The settings as a front door's keyword arguments; None stands for a missing one."""

    delivery: Delivery | None
    on_error: OnError | None
    strict: bool | None
    start_timeout: float | None
    finish_timeout: float | None
    durability: Durability | None
    redact: bool | None
    resume: Resume | None
    all_ranks: bool | None
    keep: str | None


@dataclass(frozen=True)
class Settings:
    """How records reach trackers.

    Attributes:
        delivery: "thread": into the journal, and from there to each tracker in a thread of its own. "process": from the
            journal in another process, which outlives this one. "inline": straight to the trackers on the calling
            thread, without a journal. "none": into the journal only.
        on_error: Whether a tracker's failure is a warning or raised: by the call itself with "inline", by the next one
            with "thread".
        strict: Whether a backend that cannot be reached at the start is an error.
        start_timeout: How long to wait for the trackers to start, in seconds.
        finish_timeout: How long to wait at the end for what is not delivered yet, in seconds.
        durability: What a record survives once `log` returned: "process", the end of the process; "power", a power cut.
        redact: Whether values that look like credentials are kept out of the journal and of the trackers.
        resume: Whether an earlier run is continued: "auto", where one is found; "must", or it is an error; "never".
        all_ranks: Whether every process logs to a journal of its own, and those trackers that can run everywhere do.
        keep: How long to keep runs of the logging directory that are finished and delivered: "all", a time such as
            "30d", "12h" or "90m", or "pending", for no longer than that.
    """

    delivery: Delivery = "thread"
    on_error: OnError = "warn"
    strict: bool = False
    start_timeout: float = 20.0
    finish_timeout: float = 60.0
    durability: Durability = "process"
    redact: bool = True
    resume: Resume = "auto"
    all_ranks: bool = False
    keep: str = "all"

    @property
    def keeps_journal(self) -> bool:
        """Whether a run has a journal, and can be continued."""
        return self.delivery != "inline"

    @property
    def missing(self) -> Literal["keep", "raise"]:
        """What `registry.select` does with a backend that is not installed: it may be where `sync` runs."""
        return "keep" if self.delivery == "none" else "raise"

    @property
    def runs_apart(self) -> bool:
        """Whether trackers are in another process where they can."""
        return self.delivery == "process"

    @property
    def kept_seconds(self) -> float:
        """The time that `keep` stands for; infinite for all."""
        match = _AGE.fullmatch(self.keep)
        return _AGES[self.keep] if match is None else float(match[1]) * _UNITS[match[2]]

    @classmethod
    def of(
        cls,
        delivery: Delivery | None = None,
        on_error: OnError | None = None,
        strict: bool | None = None,
        start_timeout: float | None = None,
        finish_timeout: float | None = None,
        durability: Durability | None = None,
        redact: bool | None = None,
        resume: Resume | None = None,
        all_ranks: bool | None = None,
        keep: str | None = None,
    ) -> Settings:
        """Return the settings: of each, the argument, else the variable `ACCEL_TRACK_<NAME>`, else the default.

        The default of `on_error` is "raise" with `delivery="inline"`, as everything is direct there.

        Raises:
            ValueError: A value is not among the possible ones; the message names the argument or the variable.
        """
        mode = _choice("delivery", delivery, get_args(Delivery), cls.delivery)
        return cls(
            mode,
            _choice("on_error", on_error, get_args(OnError), "raise" if mode == "inline" else cls.on_error),
            _switch("strict", strict, default=cls.strict),
            _seconds("start_timeout", start_timeout, cls.start_timeout),
            _seconds("finish_timeout", finish_timeout, cls.finish_timeout),
            _choice("durability", durability, get_args(Durability), cls.durability),
            _switch("redact", redact, default=cls.redact),
            _choice("resume", resume, get_args(Resume), cls.resume),
            _switch("all_ranks", all_ranks, default=cls.all_ranks),
            _age("keep", keep, cls.keep),
        )


def _given(name: str, value: Any) -> tuple[str, Any]:
    """Return where a value comes from and the value; None if nobody gave one."""
    variable = f"ACCEL_TRACK_{name.upper()}"
    text = os.environ.get(variable, "").strip()
    return (f"`{name}`", value) if value is not None or not text else (variable, text.lower())


def _choice(name: str, value: Any, choices: tuple[str, ...], default: str) -> Any:
    where, given = _given(name, value)
    if given is None:
        return default
    if given not in choices:
        message = f"{where} must be one of {', '.join(choices)}; got {given!r}."
        raise ValueError(message)
    return given


def _switch(name: str, value: Any, *, default: bool) -> bool:
    where, given = _given(name, value)
    if given is None or isinstance(given, bool):
        return default if given is None else given
    if given not in (*_TRUE, *_FALSE):
        message = f"{where} must be 0 or 1; got {given!r}."
        raise ValueError(message)
    return given in _TRUE


def _seconds(name: str, value: Any, default: float) -> float:
    where, given = _given(name, value)
    try:
        seconds = default if given is None else float(given)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        message = f"{where} must be a number of seconds, 0 or more; got {given!r}."
        raise ValueError(message)
    return seconds


def _age(name: str, value: Any, default: str) -> Any:
    where, given = _given(name, value)
    if given is None or given in (*_AGES,):
        return given or default
    if not isinstance(given, str) or _AGE.fullmatch(given) is None:
        message = f"{where} must be all, pending, or a time such as 30d, 12h or 90m; got {given!r}."
        raise ValueError(message)
    return given
