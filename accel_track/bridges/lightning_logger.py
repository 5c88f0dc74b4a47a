"""The bridge from Lightning's loggers: any of them as a tracker."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

from accel_track.media import Audio, Image, Medium, Table, Video
from accel_track.media.kinds import Text
from accel_track.media.ways import Way, by, native, none
from accel_track.trackers.rows import Row
from accel_track.trackers.sdk import SDKTracker
from accel_track.values.plain import check_name, flat_config

_FAMILIES = ("lightning", "pytorch_lightning", "lightning_fabric")
_NO_CALL = none("Lightning's loggers have no call for it")
_CALLS = {"image": "log_image", "table": "log_table", "text": "log_text", "audio": "log_audio", "video": "log_video"}


class LightningLoggerTracker(SDKTracker):
    """A logger of Lightning's, from `lightning.pytorch` or `pytorch_lightning`, as a tracker behind the journal.

    | From the run | To the logger |
    |---|---|
    | numbers | `log_metrics`; texts among the values are dropped |
    | hyperparameters | `log_hyperparams` |
    | media | `log_image`, `log_table`, `log_text`, `log_audio`, `log_video`, as WandbLogger has them; else dropped |
    | checkpoints | `after_save_checkpoint`, as from a ModelCheckpoint that keeps all; `log_model` decides about them |
    | `flush` | `save` |
    | `finish` | `finalize`, with "success" or "failed" |

    The logger starts in a thread of its own. It cannot withdraw values: after a `rewind`, it has both the earlier and
    the later ones. Nor can it continue its own run, so that a continued run begins anew in it.

    Args:
        logger: The logger. Do not give it to the Trainer as well.
        name: Name of the tracker; two loggers of one class in a run need different names. Default: the name of the
            logger's class, in lower case.

    Raises:
        TypeError: `logger` is not a logger of Lightning's, or is an AccelTrackLogger, which has trackers itself.
        ValueError: `name` is unusable.
    """

    name = "lightning_logger"
    requires_logging_directory = False
    sdk = "lightning"
    install = "lightning"
    in_all = False
    takes_text = False
    thread_bound = True
    keeps_status = True
    wraps_terminal = True  # it may be wandb's or Comet's
    batch_size = 100
    media: ClassVar[Mapping[str, Way]] = {
        **dict.fromkeys(("html", "points", "artifact", "model"), _NO_CALL),
        "image": native("`log_image`"),
        "figure": by("image", "`log_image`; Plotly's are dropped"),
        "table": native("`log_table`"),
        "histogram": by("image", "a picture, in `log_image`"),
        "text": native("`log_text`, a table of one column"),
        "audio": native("`log_audio`"),
        "video": native("`log_video`"),
        "confusion_matrix": by("image", "a picture, in `log_image`"),
    }

    def __init__(self, logger: Any, name: str | None = None) -> None:
        """Check the logger's class, and touch nothing else of it."""
        base = _base_of(logger)
        if base is None or any(one.__module__.startswith("accel_track.") for one in type(logger).__mro__):
            what = f"the class {logger.__name__}" if isinstance(logger, type) else type(logger).__name__
            message = f"LightningLoggerTracker takes one of Lightning's loggers, such as CSVLogger('logs'); got {what}."
            raise TypeError(message)
        super().__init__()
        self.logger = logger
        self.name = check_name(type(logger).__name__.lower() if name is None else name, "name")
        self._base = base
        self.durable_flush = self._overrides("save")
        self._callback: Any = None

    def import_sdk(self) -> Any:
        """Return the module of the logger's class."""
        return sys.modules[type(self.logger).__module__]

    def open(self, sdk: Any) -> Any:
        """Begin the logger's experiment and return it; a logger without an experiment is returned itself."""
        return getattr(self.logger, "experiment", self.logger)

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store hyperparameters; they are counted as dropped if the logger raises a NotImplementedError."""
        try:
            self.logger.log_hyperparams(values)
        except NotImplementedError as error:
            self.drop("hyperparameters", values, str(error) or "the logger takes none")

    def store_environment(self, values: dict[str, Any]) -> None:
        """Store a description of the program's environment with the hyperparameters, without nesting."""
        self.store_init_configuration(flat_config(values))

    def write_row(self, row: Row) -> None:
        """Log the numbers of one call."""
        self.taken.part("values", partial(self.logger.log_metrics, dict(row.values), row.step))

    def way(self, medium: Medium) -> Way | None:
        """Return the way of a medium, which is dropped if the logger's class has no call for it."""
        way = super().way(medium)
        call = _CALLS.get(medium.kind if way is None or not way.by else way.by)
        if way is None or way.how == "none" or call is None or callable(getattr(self.logger, call, None)):
            return way
        return none(f"{type(self.logger).__name__} has no `{call}`")

    def store_image(self, name: str, image: Image, row: Row) -> None:
        """Log an image with its caption."""
        self.logger.log_image(name, [image.pil()], step=row.step, **_captioned(image))

    def store_table(self, name: str, table: Table, row: Row) -> None:
        """Log a table."""
        self.logger.log_table(name, columns=table.columns, data=table.rows, step=row.step)

    def store_text(self, name: str, text: Text, row: Row) -> None:
        """Log a text, as a table."""
        self.logger.log_text(name, columns=["text"], data=[[text.text]], step=row.step)

    def store_audio(self, name: str, audio: Audio, row: Row) -> None:
        """Log a sound file."""
        self.logger.log_audio(name, [str(audio.path)], step=row.step, **_captioned(audio))

    def store_video(self, name: str, video: Video, row: Row) -> None:
        """Log a video file."""
        self.logger.log_video(name, [str(video.path)], step=row.step, **_captioned(video))

    def log_checkpoint(self, name: str, path: str, step: int | None, values: dict[str, Any]) -> None:
        """Store a checkpoint, as if a ModelCheckpoint that keeps all checkpoints had saved it."""
        if not self._overrides("after_save_checkpoint"):
            super().log_checkpoint(name, path, step, values)
            return
        if self._callback is None:
            whole = self._base.__module__.startswith("lightning.")
            package = "lightning.pytorch" if whole else "pytorch_lightning"
            self._callback = import_module(f"{package}.callbacks").ModelCheckpoint(save_top_k=-1)
        callback, score = self._callback, values.get("score")
        callback.monitor = values.get("monitor")
        callback.last_model_path = callback._last_checkpoint_saved = path  # noqa: SLF001 - as it does itself
        callback.best_k_models, callback.current_score = {path: score}, score
        callback.best_model_path, callback.best_model_score = (path, score) if values.get("best") else ("", None)
        self.logger.after_save_checkpoint(callback)

    def log_graph(self, model: Any, inputs: Any) -> None:
        """Hand a module's graph to the logger."""
        self.logger.log_graph(model, inputs)

    def flush(self) -> None:
        """Call the logger's `save`."""
        if self.native is not None:
            self.logger.save()

    def as_experiment(self) -> Any:
        """Return the logger's `experiment`."""
        return self.tracker

    def close(self, native: Any) -> None:
        """Finalize the logger, with Lightning's status "success" or "failed"."""
        self.logger.finalize("success" if self.outcome.status == "finished" else "failed")

    def _overrides(self, method: str) -> bool:
        """Return whether the logger has a method of its own, and not the base class's, which does nothing."""
        return getattr(type(self.logger), method, None) is not getattr(self._base, method, None)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a tracker that is not started, for a process that Lightning launches."""
        left_out = ("native", "users", "_taken", "_passing", "_watches", "_made", "_callback")
        return {name: value for name, value in self.__dict__.items() if name not in left_out} | {"_callback": None}


def _base_of(logger: Any) -> type | None:
    """Return Lightning's base class of a logger; None if the object is not a logger."""
    for one in type(logger).__mro__:
        if one.__name__ == "Logger" and one.__module__.partition(".")[0] in _FAMILIES:
            return one
    return None


def _captioned(medium: Medium) -> dict[str, list[str]]:
    return {"caption": [medium.caption]} if medium.caption else {}
