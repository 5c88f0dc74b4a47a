"""Samples of a validation: some inputs with what they are and were taken for, and how often each class was for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from accel_track.errors import warn
from accel_track.lightning.grid import grid
from accel_track.lightning.predictions import Counts, inputs_and_targets, per_class, predicted
from accel_track.media.kinds import ConfusionMatrix, Image, Table

SampleMedia = Callable[[Trainer, LightningModule, object, object], Mapping[str, object] | None]
"""Returns values to log, by name, for the first batch of a validation: from the Trainer, the module, the batch and what
`validation_step` returned for it."""

_DIMENSIONS = (3, 4)
"""Dimensions of a batch of images, without and with channels."""


class ValidationSamples:
    """The collector of a classifier's validation, with the first samples of each data loader.

    Args:
        how_many: How many samples are kept; or a function that makes media of a batch, in place of all else.
        class_names: Names of the classes. Default: the attribute `class_names` of the module or the data module.
    """

    def __init__(self, how_many: int | SampleMedia, class_names: Sequence[str] | None) -> None:
        """Begin with nothing."""
        self._how_many, self._given_names = how_many, class_names
        self._told = False
        self.begin()

    def begin(self) -> None:
        """Forget the last validation."""
        self._loaders: dict[int, _Loader] = {}
        self._made: dict[str, Any] = {}

    def add(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, loader: int
    ) -> None:
        """Take a batch in; with several processes, on each of them.

        Args:
            trainer: The Trainer.
            pl_module: The module.
            outputs: What `validation_step` returned.
            batch: The batch.
            batch_idx: Its number.
            loader: Number of the data loader.
        """
        if not isinstance(self._how_many, int):
            if trainer.is_global_zero and batch_idx == 0:
                self._made |= _in_loader(self._how_many(trainer, pl_module, batch, outputs) or {}, loader, trainer)
            return
        found = inputs_and_targets(batch)
        if found is None:
            self._say("the batches have no targets of shape (n,) that are integers")
            return
        inputs, targets = found
        prediction = predicted(outputs, len(targets))
        one = self._loaders.setdefault(loader, _Loader())
        names = self._names(trainer, pl_module)
        if prediction is not None:
            one.counts.add(targets, prediction, len(names))
        elif batch_idx == 0:
            self._say(
                "`validation_step` returns no predictions, so that there is no confusion matrix, and the samples take "
                "one more forward call; have it return the logits",
                nothing=False,
            )
            prediction = predicted(_forward(trainer, pl_module, inputs), len(targets))
        if prediction is None:
            return
        missing = self._how_many - len(one.targets)
        if missing > 0 and trainer.is_global_zero:
            one.targets += targets[:missing].tolist()
            one.predictions += prediction.classes[:missing].tolist()
            if inputs is not None:
                one.inputs.append(inputs[:missing].cpu() if isinstance(inputs, Tensor) else inputs[:missing])

    def values(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return the values to log, and forget them; several processes count together, and each returns them."""
        if not isinstance(self._how_many, int):
            values = self._made
        else:
            self._count_together(trainer, pl_module)
            values, names = {}, self._names(trainer, pl_module)
            for number, one in self._loaders.items() if trainer.is_global_zero else ():
                values |= _in_loader(one.values(names), number, trainer)
                if one.counts.size > Counts.MOST:
                    self._say(f"{one.counts.size:,} classes are too many for a confusion matrix", nothing=False)
        self.begin()
        return values

    def _count_together(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size == 1:
            return
        numbers = range(len(trainer.num_val_batches))
        sizes = torch.tensor([self._size(number) for number in numbers], device=pl_module.device)
        together = trainer.strategy.all_gather(sizes).reshape(-1, len(sizes)).amax(0).tolist()
        for number, size in zip(numbers, together, strict=True):
            if size:
                counts = self._loaders.setdefault(number, _Loader()).counts
                counts.grow(size, pl_module.device)
                if counts.table is not None:
                    counts.table = trainer.strategy.reduce(counts.table.to(pl_module.device), reduce_op="sum")

    def _size(self, loader: int) -> int:
        return self._loaders[loader].counts.size if loader in self._loaders else 0

    def _names(self, trainer: Trainer, pl_module: LightningModule) -> list[str]:
        data = getattr(trainer, "datamodule", None)
        several = (self._given_names, getattr(pl_module, "class_names", None), getattr(data, "class_names", None))
        return list(map(str, next((names for names in several if names is not None), ())))

    def _say(self, why: str, *, nothing: bool = True) -> None:
        if not self._told:
            self._told = True
            warn(f"log_samples: {'nothing is logged: ' if nothing else ''}{why}.")


class _Loader:
    """The samples and counts of one data loader."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.inputs: list[Any] = []
        self.targets: list[int] = []
        self.predictions: list[int] = []

    def values(self, given: Sequence[str]) -> dict[str, Any]:
        """Return the media of the data loader."""
        most = max([self.counts.size, *(one + 1 for one in (*self.targets, *self.predictions))])
        names = [*given, *map(str, range(len(given), most))]
        values: dict[str, Any] = {}
        if self.targets:
            values["validation/samples"] = self._samples(names)
        if self.counts.table is not None and (matrix := self.counts.table.tolist()):
            names = names[: len(matrix)]
            values["validation/confusion_matrix"] = ConfusionMatrix(matrix=matrix, labels=names)
            values["validation/classes"] = Table(
                per_class(matrix, names), ["class", "precision", "recall", "f1", "count"]
            )
        return values

    def _samples(self, names: Sequence[str]) -> Image | Table:
        known, guessed = ([_name(names, one) for one in those] for those in (self.targets, self.predictions))
        right = [target == guess for target, guess in zip(self.targets, self.predictions, strict=True)]
        inputs = torch.cat(self.inputs) if self.inputs and isinstance(self.inputs[0], Tensor) else None
        if inputs is not None and _are_images(inputs):
            summary = f"target → prediction; {sum(right)} of {len(right)} right"
            return Image(grid(inputs, known, guessed), caption=summary)
        texts = [text for part in self.inputs for text in part] if inputs is None else []
        if len(texts) == len(known) and all(isinstance(text, str) for text in texts):
            return Table(
                list(zip(texts, known, guessed, right, strict=True)), ["input", "target", "prediction", "right"]
            )
        return Table(list(zip(known, guessed, right, strict=True)), ["target", "prediction", "right"])


def _name(names: Sequence[str], number: int) -> str:
    return names[number] if number >= 0 else str(number)


def _are_images(inputs: Tensor) -> bool:
    """Return whether a batch is one of images: (N, H, W), or with 1, 3 or 4 channels in front or behind."""
    if inputs.ndim not in _DIMENSIONS or inputs.is_complex() or min(inputs.shape) < 1:
        return False
    return inputs.ndim == _DIMENSIONS[0] or bool({inputs.shape[1], inputs.shape[-1]} & {1, 3, 4})


def _forward(trainer: Trainer, pl_module: LightningModule, inputs: Any) -> Any:
    """Return the result of the module's `forward` for inputs; None if it cannot be called so."""
    if not isinstance(inputs, Tensor):
        return None
    try:
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            return pl_module(inputs)
    except Exception:  # noqa: BLE001 - there is none, or it takes something else
        return None


def _in_loader(values: Mapping[str, Any], number: int, trainer: Trainer) -> dict[str, Any]:
    """Return values under names that say of which data loader they are, where there are several."""
    if len(trainer.num_val_batches) == 1:
        return dict(values)
    return {f"{name}/dataloader_idx_{number}": value for name, value in values.items()}
