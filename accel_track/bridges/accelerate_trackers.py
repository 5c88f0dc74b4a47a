"""The bridge from Hugging Face accelerate's trackers: an instance of one as a tracker of ours."""

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
        TypeError: It is one of ours, made for accelerate.
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
    """One tracker of accelerate's (https://huggingface.co/docs/accelerate/usage_guides/tracking), used unchanged.

    Its methods are called as accelerate calls them, in one thread of their own. What only it has, such as `writer`, is
    found on this object, too; its own `log_images`, `log_table` and the like take the place of those here. With
    `delivery="inline"`, everything is on the calling thread, as in accelerate.

    Images and figures among the values of a call go to its `log_images`, tables to its `log_table`; where it has none,
    and of other kinds, media are counted as dropped.

    Args:
        theirs: The instance.
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
        """Return what only accelerate's tracker has.

        Raises:
            AttributeError: It has no such thing.
        """
        if name.startswith("__") or name == "theirs":
            raise AttributeError(name)
        return getattr(self.theirs, name)

    @on_main_process
    def start(self) -> None:
        """Start it.

        Raises:
            NotConfiguredError: It would wait for the other processes.
        """
        _begin_state(self.name)
        if callable(start := getattr(self.theirs, "start", None)):  # earlier versions started in the constructor
            start()

    @property
    def tracker(self) -> Any:
        """The native object, as its own `tracker` is."""
        return NoOp() if self.main_process_only and process_index() else self.theirs.tracker

    @on_main_process
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store hyperparameters, nested as they were given."""
        self.theirs.store_init_configuration(values)

    @on_main_process
    def store_environment(self, values: dict[str, Any]) -> None:
        """Store where the program runs, without nesting, since most of its trackers take none."""
        self.theirs.store_init_configuration(flat_config(values))

    @on_main_process
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Record values as they were given, and media by the calls that it has for them."""
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
        """Store a file or folder by its method for that, which of accelerate's own only MLflow's has.

        Args:
            path: The file or folder.
            *args: As its own method has them.
            **about: Likewise; or what a run says of an artifact, of which only the path is for it.
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
        """Finish it."""
        self.theirs.finish()
        self.passing.forget()


def _begin_state(name: str) -> None:
    """Have accelerate's state, without which its trackers raise errors, as `Accelerator` would.

    Raises:
        NotConfiguredError: That would wait for the other processes, which have not begun theirs.
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
