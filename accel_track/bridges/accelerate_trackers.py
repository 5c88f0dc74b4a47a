"""The bridge from Hugging Face accelerate's trackers: an instance of one as an accel_track tracker."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from accel_track.errors import NotConfiguredError
from accel_track.media import Image, Medium, Table
from accel_track.media.calls import MediaCalls
from accel_track.media.fallbacks import converted
from accel_track.media.ways import Way, by, native, none
from accel_track.noop import NoOp
from accel_track.state import PartialState, process_index
from accel_track.trackers.base import GeneralTracker, on_main_process
from accel_track.trackers.media import media_of
from accel_track.values.plain import flat_config, leaves

_NO_CALL = none("accelerate's trackers have no call for it")
_CALLS = [name for name in vars(MediaCalls) if name.startswith("log_") and name != "log_artifact"]

_wrapped: weakref.WeakValueDictionary[int, AccelerateTracker] = weakref.WeakValueDictionary()
"""The trackers by the `id` of the instance that each holds, so that two front doors have one tracker of an instance."""


def adapted(theirs: Any) -> GeneralTracker:
    """Return the tracker that stands for an instance of accelerate's `GeneralTracker`, the same one each time.

    Raises:
        TypeError: `theirs` is a tracker of `as_accelerate_tracker`.
    """
    name = theirs.name
    if isinstance(theirs, MediaCalls):
        message = f"as_accelerate_tracker is for accelerate's Accelerator; name {name!r} itself in `log_with` here."
        raise TypeError(message)
    known = _wrapped.get(id(theirs))
    if known is None:
        known = _wrapped[id(theirs)] = AccelerateTracker(theirs)
    return known


class AccelerateTracker(GeneralTracker):
    """A tracker of accelerate's, used unchanged: an instance in `log_with` becomes one of these by itself.

    accelerate's [guide to tracking](https://huggingface.co/docs/accelerate/usage_guides/tracking) describes such
    trackers. Their methods are called as accelerate calls them, in one thread, or on the calling thread with
    `delivery="inline"`. Attributes that only accelerate's tracker has, such as `writer`, are found on this object, too;
    its own `log_images`, `log_table` and the like take the place of those here.

    Images and figures among the values of a call go to its `log_images`, tables to its `log_table`. Media of other
    kinds are counted as dropped, and so are media whose method it lacks.

    Args:
        theirs: The instance of accelerate's tracker.
    """

    name = "accelerate"
    requires_logging_directory = False
    durable_flush = False  # there is no flush
    wraps_terminal = True  # it may be wandb's, Comet's or SwanLab's
    keeps_nesting = True
    keeps_status = False
    media: ClassVar[Mapping[str, Way]] = {
        **dict.fromkeys(("histogram", "text", "audio", "video", "html", "points", "artifact", "model"), _NO_CALL),
        "image": native("`log_images`"),
        "figure": by("image", "`log_images`; Plotly's are dropped"),
        "table": native("`log_table`"),
        "confusion_matrix": by("image", "a picture, in `log_images`"),
    }

    def __init__(self, theirs: Any) -> None:
        """Take over its name."""
        super().__init__()
        self.theirs = theirs
        self.name = theirs.name
        self.main_process_only = getattr(theirs, "main_process_only", True)
        for name in _CALLS:
            if callable(own := getattr(theirs, name, None)):
                setattr(self, name, own)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute that only accelerate's tracker has.

        Raises:
            AttributeError: accelerate's tracker has no such attribute.
        """
        if name.startswith("__") or name == "theirs":
            raise AttributeError(name)
        return getattr(self.theirs, name)

    @on_main_process
    def start(self) -> None:
        """Start accelerate's tracker.

        Raises:
            NotConfiguredError: The start would wait for the other processes.
        """
        _begin_state(self.name)
        if callable(start := getattr(self.theirs, "start", None)):  # earlier versions started in the constructor
            start()

    @property
    def tracker(self) -> Any:
        """The native object: the `tracker` of accelerate's tracker."""
        return NoOp() if self.main_process_only and process_index() else self.theirs.tracker

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store hyperparameters, nested as they were given."""
        self.theirs.store_init_configuration(values)

    @on_main_process
    def store_environment(self, values: dict[str, Any]) -> None:
        """Store a description of the program's environment, without nesting, which most trackers do not take."""
        self.theirs.store_init_configuration(flat_config(values))

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Record values unchanged, and media by the tracker's calls for them."""
        media = {name: found for name, value in leaves(values) if (found := media_of(value))}
        if media:
            values = {name: value for name, value in leaves(values) if name not in media}
        if values or not media:
            self.taken.part("values", partial(self.theirs.log, values, step=step, **kwargs))
        for name, found in media.items():
            self.taken.part(("medium", name), partial(self._log_medium, name, found, step))

    def _log_medium(self, name: str, found: Medium | list[Medium], step: int | None) -> None:
        several = found if isinstance(found, list) else [found]
        way = self.media.get(several[0].kind, _NO_CALL)
        call = "log_table" if several[0].kind == "table" else "log_images"
        if way.how == "none" or not callable(getattr(self.theirs, call, None)):
            self.drop(name, found, way.note if way.how == "none" else f"its class has no `{call}`")
            return
        try:
            some = [converted(one, way.by, self.passing.folder) if way.by else one for one in several]
        except ValueError as error:
            self.drop(name, found, str(error))
            return
        for table in [one for one in some if isinstance(one, Table)]:
            self.theirs.log_table(name, columns=table.columns, data=table.rows, step=step)
        if images := [one for one in some if isinstance(one, Image)]:
            self._log_images(name, images, step)

    def _log_images(self, name: str, images: list[Image], step: int | None) -> None:
        """Log images as a list, or as accelerate's own tracker for TensorBoard wants them: each as a batch of one."""
        if type(self.theirs).__module__ == "accelerate.tracking" and self.name == "tensorboard":
            import numpy as np

            for place, image in enumerate(images):
                one, array = name if len(images) == 1 else f"{name}/{place}", np.asarray(image.pil().convert("RGB"))
                self.theirs.log_images({one: array[None]}, step=step, dataformats="NHWC")
        else:
            self.theirs.log_images({name: [image.array() for image in images]}, step=step)

    @on_main_process
    def log_artifact(self, path: Any = None, *args: Any, **about: Any) -> None:
        """Store a file or folder by the tracker's own method, which only MLflow's among accelerate's trackers has.

        Args:
            path: The file or folder.
            *args: Arguments of the tracker's own method.
            **about: Keyword arguments of the tracker's own method; those of a run's artifact are left out.
        """
        of_run = "type" in about
        call = "log_artifacts" if of_run and os.path.isdir(path) else "log_artifact"
        own = getattr(self.theirs, call, None)
        if own is None:
            self.drop("artifact", path, f"its class has no `{call}`")
        elif of_run:
            own(path)
        else:
            own(*(() if path is None else (path,)), *args, **about)

    @on_main_process
    def finish(self) -> None:
        """Finish accelerate's tracker."""
        self.theirs.finish()
        self.passing.forget()


def _begin_state(name: str) -> None:
    """Make accelerate's state, as its `Accelerator` does; without it, its trackers raise errors.

    Raises:
        NotConfiguredError: The call would wait for the other processes, which have not made their states.
    """
    state = sys.modules["accelerate.state"]
    if not state.PartialState._shared_state:  # noqa: SLF001 - to ask an instance is to begin it
        import torch

        if PartialState().num_processes > 1 and not torch.distributed.is_initialized():
            message = (
                f"{name}: accelerate's trackers need its state, for which all processes have to meet; call "
                "`accelerate.PartialState()` on each of them first."
            )
            raise NotConfiguredError(message)
        state.PartialState()
