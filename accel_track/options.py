"""The options that all front doors take: name, type, text and default of each, and the values of one run."""

from __future__ import annotations

import difflib
import functools
import inspect
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, TypeVar, get_args, get_type_hints

from accel_track.alerts.rules import AlertRule, alert_rules
from accel_track.errors import warn
from accel_track.mirror.addresses import is_url
from accel_track.rules import Rules
from accel_track.texts import clean
from accel_track.values.structures import without_omegaconf

if TYPE_CHECKING:
    from typing_extensions import Unpack

Delivery = Literal["thread", "process", "inline", "none"]
OnError = Literal["warn", "raise"]
Durability = Literal["process", "power"]
Resume = Literal["auto", "never", "must"]

_Door = TypeVar("_Door", bound=Callable[..., Any])

_VARIABLE = "ACCEL_TRACK_"
_AGE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([mhd])", re.ASCII)
_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
_AGES = {"all": float("inf"), "pending": 0.0}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_ENTRY = re.compile(r"^    \*\*options: .*(?:\n {8}.*)*$", re.MULTILINE)


class Options(TypedDict, total=False):
    """The options as keyword arguments of a front door.

    An option that is missing or None has the value of the variable `ACCEL_TRACK_<NAME>`, such as
    `ACCEL_TRACK_DELIVERY`; if that variable is not set, the option has its default.

    Attributes:
        delivery: The way from a call to the trackers. "thread": values go to a journal on disk, and from there to each
            tracker in the background. "process": the trackers read the journal in another process, which has its own
            interpreter and lives on until all records are delivered. "inline": values go straight to the trackers, on
            the calling thread, without a journal. "none": values go to the journal only, for a later
            `accel-track sync`. Default: "thread".
        on_error: Whether the failure of a tracker is a warning ("warn") or an exception ("raise"). With
            `delivery="inline"`, the failing call itself raises the exception, otherwise the next call does. Default:
            "warn", or "raise" with `delivery="inline"`.
        strict: Whether a backend that cannot be reached at the start is an error. Default: False.
        start_timeout: Longest wait for the start of the trackers, in seconds. Default: 20.
        finish_timeout: Longest wait at the end for pending records, in seconds. Default: 60.
        durability: The event that a value survives once the call that logs it has returned: "process", the end of the
            process; "power", a power cut. Default: "process".
        redact: Whether credentials in hyperparameters are replaced by "***". Default: True.
        resume: Which run goes on. "auto": the run of the loaded checkpoint (`fit(ckpt_path=...)`, or `load_state`
            before `init_trackers`), else an unfinished run with this name (`version`, `run_name`) or cluster job, else
            a new run. "must": the same runs or a finished one; an error if there is none. "never": always a new run.
            Default: "auto".
        all_ranks: Whether every process logs to a journal of its own. The trackers that can run in every process
            (wandb, Trackio, SwanLab) then do so, as a group. Default: False, the main process (rank zero) only.
        rules: The rules by which a tracker gets a part of the values only, by the tracker's name, such as
            `{"wandb": {"every": 10}}`; see [`Rules`][accel_track.rules.Rules]. A tracker without rules gets all
            values. A continued run keeps its first rules. In the variable: JSON. Default: {}.
        keep: How long the journals of earlier runs in this folder are kept once those runs are finished and delivered:
            "all", a time such as "30d", "12h" or "90m", or "pending" for no longer than the delivery. A deleted
            journal can no longer be delivered elsewhere with `accel-track sync --to`. Default: "all".
        mirror: URL of a store, such as "s3://bucket/prefix", to which the run directory is copied while the run goes
            on. The extras `accel-track[s3]`, `[gs]`, `[az]` and `[sftp]` install what these stores need. Default:
            None, no mirror.
        mirror_interval: Seconds between two copies. Default: 10.
        alerts: Rules that raise alerts, such as `["nan", "loss > 10 for 50 steps", "no step for 10 min", "failed"]`;
            a companion process watches them. [`alert_rule`][accel_track.alerts.rules.alert_rule] has their grammar. In
            the variable: rules between commas, or JSON. Default: [].
        autopsy: Whether the run directory gets the evidence that `accel-track autopsy` reads: stacks after a crash,
            tracebacks, and the use of memory every few seconds. Default: True.
        stall_after: Seconds without a record after which the stacks of all threads are written down for
            `accel-track autopsy`, but at least ten median intervals between records; 0 turns this off. Default: 60.
    """

    delivery: Delivery | None
    on_error: OnError | None
    strict: bool | None
    start_timeout: float | None
    finish_timeout: float | None
    durability: Durability | None
    redact: bool | None
    resume: Resume | None
    all_ranks: bool | None
    rules: Mapping[str, Rules | Mapping[str, Any]] | None
    keep: str | None
    mirror: str | None
    mirror_interval: float | None
    alerts: Sequence[str] | str | None
    autopsy: bool | None
    stall_after: float | None


def takes_options(door: _Door) -> _Door:
    """Show each option of a class or function that takes `**options: Unpack[Options]` at run time as well.

    Type checkers and editors know the options by the annotation. `help`, `inspect.signature` and Lightning's command
    line look at the signature, where the options follow the other arguments, and at the docstring, where the texts of
    the options take the place of the entry `**options`. An argument with an unknown name is a TypeError that tells
    similar names, or the hint in a class's `other_arguments`.
    """
    owner: Any = door
    title, is_class = owner.__qualname__, isinstance(owner, type)
    call = vars(owner)["__init__"] if is_class else owner
    signature = inspect.signature(call)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    kinds = get_type_hints(Options)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in kinds.items()
    ]
    names = {one.name for one in (*own, *options)}

    @functools.wraps(call)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for name in (one for one in kwargs if one not in names):
            near = " or ".join(map(repr, difflib.get_close_matches(name, names, n=2)))
            known = getattr(owner, "other_arguments", {}).get(name)
            hint = f": it {known}" if known else f"; did you mean {near}?" if near else "."
            message = f"{title}: there is no argument {name!r}{hint}"
            raise TypeError(message)
        return call(*args, **kwargs)

    shown: Any = checked
    shown.__signature__ = signature.replace(parameters=[*own, *options])
    shown.__annotations__ = {
        name: kind for name, kind in call.__annotations__.items() if name in names or name == "return"
    } | kinds
    if is_class:
        owner.__init__ = shown
    else:
        owner = shown
    if door.__doc__ and Options.__doc__:  # python -OO has none
        texts = inspect.cleandoc(Options.__doc__).partition("Attributes:\n")[2]
        owner.__doc__ = _ENTRY.sub(lambda _: texts, inspect.cleandoc(door.__doc__))
    return owner  # type: ignore[no-any-return]


class _Mode(NamedTuple):
    """The facts of a mode of delivery that others ask for."""

    on_error: OnError = "warn"
    keeps_journal: bool = True
    missing: Literal["keep", "raise"] = "raise"
    runs_apart: bool = False


_MODES: dict[Delivery, _Mode] = {
    "thread": _Mode(),
    "process": _Mode(runs_apart=True),
    "inline": _Mode(on_error="raise", keeps_journal=False),
    "none": _Mode(missing="keep"),
}


@dataclass(frozen=True)
class Settings:
    """The options of one run, each with its value. The attributes have the names and meanings of `Options`."""

    delivery: Delivery = "thread"
    on_error: OnError = "warn"
    strict: bool = False
    start_timeout: float = 20.0
    finish_timeout: float = 60.0
    durability: Durability = "process"
    redact: bool = True
    resume: Resume = "auto"
    all_ranks: bool = False
    rules: Mapping[str, Rules] = field(default_factory=dict)
    keep: str = "all"
    mirror: str | None = None
    mirror_interval: float = 10.0
    alerts: tuple[AlertRule, ...] = ()
    autopsy: bool = True
    stall_after: float = 60.0

    @property
    def keeps_journal(self) -> bool:
        """Whether a run has a journal, and can be continued."""
        return _MODES[self.delivery].keeps_journal

    @property
    def missing(self) -> Literal["keep", "raise"]:
        """How a named backend without its package is treated: "raise" an error, or "keep" its name for `sync`."""
        return _MODES[self.delivery].missing

    @property
    def runs_apart(self) -> bool:
        """Whether trackers run in another process if they can."""
        return _MODES[self.delivery].runs_apart

    @property
    def kept_seconds(self) -> float:
        """The time of `keep` in seconds: 0 for "pending", infinite for "all"."""
        match = _AGE.fullmatch(self.keep)
        return _AGES[self.keep] if match is None else float(match[1]) * _UNITS[match[2]]

    @classmethod
    @takes_options
    def of(cls, **options: Unpack[Options]) -> Settings:
        """Return the settings: each option's argument, else its variable `ACCEL_TRACK_<NAME>`, else its default.

        Args:
            **options: The options, as in `Options`.

        Raises:
            ValueError: A value is not possible, or `mirror`, `alerts` or `resume="must"` needs a journal and
                `delivery="inline"` has none; the message names the argument or the variable.
            TypeError: An option is unknown.
        """
        for name, meant in unknown_variables().items():
            if meant is not None:
                warn(f"nothing reads the variable {name}; did you mean {meant}?", stacklevel=3)
        given = {name: _read(name, kind, options.get(name)) for name, kind in get_type_hints(cls).items()}
        values = {name: value for name, value in given.items() if value is not None}
        if not _MODES[values.get("delivery", cls.delivery)].keeps_journal:
            needing = {
                "`mirror` copies": "mirror" in values,
                "`alerts` watches": bool(values.get("alerts")),
                "`resume='must'` continues": values.get("resume") == "must",
            }
            if wanted := [what for what, is_wanted in needing.items() if is_wanted]:
                message = f"{wanted[0]} a run's journal, and delivery={values['delivery']!r} has none; use another one."
                raise ValueError(message)
        values.setdefault("on_error", _MODES[values.get("delivery", cls.delivery)].on_error)
        return cls(**values)


def unknown_variables() -> dict[str, str | None]:
    """Return the names of variables that begin as ours and that nothing reads, each with a similar one that is read."""
    known = [_VARIABLE + name.upper() for name in (*get_type_hints(Options), "dir", "notify")]
    unknown = sorted(name for name in os.environ if name.startswith(_VARIABLE) and name not in known)
    return {name: next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.9)), None) for name in unknown}


def _read(name: str, kind: Any, value: Any) -> Any:
    """Return the value of an option, from its variable if the argument is None; None if there is no value.

    Raises:
        ValueError: The value is not possible.
    """
    where = f"`{name}`"
    if value is None:
        where = _VARIABLE + name.upper()
        value = os.environ.get(where, "").strip()
        if not value:
            return None
    read, possible = _KINDS[kind] if kind in _KINDS else (_choice, f"one of {', '.join(get_args(kind))}")
    try:
        return read(kind, value.lower() if isinstance(value, str) and kind not in (_RULES, _URL, _ALERTS) else value)
    except _WrongRulesError as error:
        message = f"{where}, {error}"
        raise ValueError(message) from None
    except (TypeError, ValueError, OverflowError):
        shown = clean(value) if kind == _URL else repr(value)  # it may hold a password
        message = f"{where} must be {possible}; got {shown}."
        raise ValueError(message) from None


def _choice(kind: Any, value: Any) -> Any:
    return get_args(kind)[get_args(kind).index(value)]


def _switch(_: Any, value: Any) -> bool:
    if not isinstance(value, bool) and value not in (*_TRUE, *_FALSE):
        raise ValueError
    return value is True or value in _TRUE


def _seconds(_: Any, value: Any) -> float:
    seconds = float(value)
    if not 0 <= seconds < float("inf"):
        raise ValueError
    return seconds


def _age(_: Any, value: Any) -> str:
    if value not in (*_AGES,) and _AGE.fullmatch(value) is None:
        raise ValueError
    return str(value)


def _address(_: Any, value: Any) -> str:
    if not is_url(value):
        raise ValueError
    return str(value)


class _WrongRulesError(ValueError):
    """The rules of a tracker or of alerts are wrong; the message says whose rules, and what is wrong with them."""


def _rules(_: Any, value: Any) -> Mapping[str, Rules]:
    """Return rules by tracker name, from a dictionary or from a variable's JSON."""
    given = without_omegaconf(json.loads(value) if isinstance(value, str) else value)
    if not isinstance(given, Mapping):
        raise TypeError
    return {name: _rules_of(name, rules) for name, rules in given.items()}


def _rules_of(name: str, given: Any) -> Rules:
    try:
        return Rules.of(given)
    except (TypeError, ValueError) as error:
        message = f"of {name!r}: {error}"
        raise _WrongRulesError(message) from error


def _alerts(_: Any, value: Any) -> tuple[AlertRule, ...]:
    try:
        return alert_rules(without_omegaconf(value))
    except (TypeError, ValueError) as error:
        raise _WrongRulesError(str(error)) from error


_RULES = Mapping[str, Rules]
_ALERTS = tuple[AlertRule, ...]
_URL = str | None
_KINDS: dict[Any, tuple[Callable[[Any, Any], Any], str]] = {
    bool: (_switch, "0 or 1"),
    float: (_seconds, "a number of seconds, 0 or more"),
    _RULES: (_rules, "a dictionary of rules by tracker name, such as {'wandb': {'every': 10}}"),
    _ALERTS: (_alerts, "a list of rules"),
    _URL: (_address, "a URL, such as s3://bucket/prefix"),
    str: (_age, "all, pending, or a time such as 30d, 12h or 90m"),
}
