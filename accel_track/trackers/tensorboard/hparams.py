"""The hyperparameters of a TensorBoard run: `hparams.yml`, and the session of the HParams tab."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from accel_track.errors import warn
from accel_track.files import read_file, replace_file
from accel_track.outcome import FINISHED
from accel_track.trackers.sdk import SDKTracker
from accel_track.trackers.tensorboard import wire
from accel_track.trackers.tensorboard.events import Delivered
from accel_track.trackers.tensorboard.summaries import session_end, session_start, text_value
from accel_track.values.plain import flat_config, storable

HPARAMS = "hparams.yml"
"""Name of the file of hyperparameters."""

_LARGEST_HPARAMS = 2**20


class TensorBoardHParams(SDKTracker):
    """The part of the tracker that stores hyperparameters, and writes the session before the first values.

    TensorBoard shows only a run's first session, so it is not written before all hyperparameters are here.
    """

    logging_dir: str

    def __init__(self, run_name: str | None = None, **kwargs: Any) -> None:
        """Keep the arguments for `start`."""
        super().__init__(run_name, **kwargs)
        self.config: dict[str, Any] = {}
        self.has_session = False
        """Whether an event file of the folder has a session."""
        self.delivered: Delivered | None = None
        """The events that the folder of a run that goes on had before."""

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Write `hparams.yml`, and the HParams tab's session with the first value; later calls add to earlier ones."""
        self.config.update(storable(values))
        text = yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True)
        replace_file(Path(self.logging_dir, HPARAMS), text.encode("utf-8", "backslashreplace"), 0o666)

    def store_environment(self, values: dict[str, Any]) -> None:
        """Write a text of each name, in YAML."""
        texts = {name: yaml.safe_dump(value, sort_keys=False) for name, value in storable(values).items()}
        content = [text_value(name, f"```\n{text}```") for name, text in texts.items()]
        self.append_once(wire.event(content, None, self.now()))

    def append_once(self, event: bytes) -> None:
        """Append an event without a step, unless the folder has it."""
        if self.delivered is None or not self.delivered.has(event, None, self.now()):
            self.append(event)

    def append(self, events: bytes) -> None:
        """Append framed events to the event file."""
        if self.native is None:
            _ = self.tracker  # says that it was not started
        elif events:
            self.native.append(events)

    def append_values(self, events: bytes) -> None:
        """Append framed events of values, and before the first ones the session."""
        if events:
            self._append_with_session(events)

    def _append_with_session(self, events: bytes) -> None:
        if self.config and not self.has_session:
            events = wire.event([session_start(flat_config(self.config))], None, self.now()) + events
        self.append(events)
        self.has_session = self.has_session or bool(self.config)

    def store_outcome(self) -> None:
        """Write the session if no value came, and that it has come to its end if the run has."""
        ends = self.outcome == FINISHED and (self.has_session or self.config)
        self._append_with_session(wire.event([session_end()], None, self.now()) if ends else b"")


class _WithoutAliases(yaml.SafeLoader):
    """A loader that takes no aliases, by which a short text makes a huge dictionary; accel_track never writes one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            message = "it holds an alias"
            raise yaml.YAMLError(message)
        return super().compose_node(parent, index)


def stored_hparams(folder: Path) -> dict[str, Any]:
    """Return the content of `hparams.yml`; one that cannot be used costs a warning, and is put aside."""
    file = folder / HPARAMS
    if not os.path.lexists(file):
        return {}
    try:
        loader = _WithoutAliases(read_file(file, _LARGEST_HPARAMS).decode())
        config = storable(loader.get_single_data())
        if isinstance(config, dict):
            return config
        why = f"it holds no dictionary but a {type(config).__name__}" if config is not None else ""
    except Exception as error:  # noqa: BLE001 - anything may be in a file that somebody else wrote
        why = " ".join(f"{type(error).__name__}: {error}".split())
    if why:
        aside = file.with_name(f"{HPARAMS}.unreadable")
        with suppress(OSError):
            file.rename(aside)
        warn(f"tensorboard: {file} cannot be read ({why}); it is kept as {aside.name}, and a new one begins.")
    return {}
