"""The samples and predictions of a classifier, found in the batches and results of any module's validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

_INPUTS = ("image", "images", "pixel_values", "img", "x", "input", "inputs", "data", "features")
_TARGETS = ("label", "labels", "target", "targets", "y", "class", "classes")
_LOGITS = ("logits", "y_hat", "outputs", "output")
_PREDICTIONS = ("preds", "predictions", "prediction", "pred", "probs", "probabilities", "scores")
_DIGITS = 4
_BATCH = 2
"""Dimensions of one row of scores for each sample."""


class Predicted(NamedTuple):
    """The predictions for one batch.

    Attributes:
        classes: The predicted classes, integers of shape (n,).
        size: How many classes there are; None if the predictions do not say.
    """

    classes: Tensor
    size: int | None


def inputs_and_targets(batch: Any) -> tuple[Any, Tensor] | None:
    """Return the inputs of a batch, or None in their place, and its true classes as integers of shape (n,).

    Args:
        batch: A sequence that begins with inputs and targets, or a dictionary in which they have usual names.

    Returns:
        None if there are no such targets.
    """
    if isinstance(batch, Mapping):
        inputs, targets = _first(batch, _INPUTS), _first(batch, _TARGETS)
    elif isinstance(batch, Sequence) and not isinstance(batch, str) and len(batch) > 1:
        inputs, targets = batch[0], batch[1]
    else:
        return None
    if not isinstance(targets, Tensor):
        return None
    classes = _flat(targets.detach())
    if classes.ndim != 1 or classes.is_floating_point() or classes.is_complex() or not len(classes):
        return None
    fits = isinstance(inputs, (Tensor, list, tuple)) and len(inputs) == len(classes)
    return inputs if fits else None, classes.long()


def predicted(outputs: Any, count: int) -> Predicted | None:
    """Return the predictions in what `validation_step` returned; None if there are none.

    Args:
        outputs: Logits or probabilities of shape (n, classes), predicted classes as integers of shape (n,), or a
            dictionary with one of these under a usual name: "logits", "preds", …. In a dictionary, floats of shape (n,)
            are of two classes: logits above 0 and probabilities above 0.5 are class 1.
        count: How many samples there are.
    """
    if not isinstance(outputs, Mapping):
        return _of_tensor(outputs, count, None)
    for names, border in ((_LOGITS, 0.0), (_PREDICTIONS, 0.5)):
        if (found := _of_tensor(_first(outputs, names), count, border)) is not None:
            return found
    return None


def _of_tensor(value: Any, count: int, border: float | None) -> Predicted | None:
    if not isinstance(value, Tensor) or not value.ndim or len(value) != count or value.is_complex():
        return None
    value = value.detach()
    if value.ndim == _BATCH and value.shape[1] > 1 and value.is_floating_point():
        return Predicted(value.argmax(dim=1), value.shape[1])
    value = _flat(value)
    if value.ndim != 1:
        return None
    if not value.is_floating_point():
        return Predicted(value.long(), None)
    return None if border is None else Predicted((value > border).long(), 2)


def _flat(value: Tensor) -> Tensor:
    """Return a column of shape (n, 1) as (n,)."""
    return value[:, 0] if value.ndim == _BATCH and value.shape[1] == 1 else value


def _first(values: Mapping[Any, Any], names: Sequence[str]) -> Any:
    """Return the first tensor that has one of these names."""
    return next((values[name] for name in names if isinstance(values.get(name), Tensor)), None)


class Counts:
    """The counts of targets by their predictions, made where the targets are, without waiting for a device."""

    MOST = 1000
    """The most classes that are counted: as many as a confusion matrix has."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.size = 0
        """The number of classes, even if there are too many."""
        self.table: Tensor | None = None
        """The counts, of shape (classes, classes): the true class by rows. None if there are none, or too many."""

    def add(self, targets: Tensor, found: Predicted, named: int) -> None:
        """Count a batch; targets that are no class, such as -100 for "ignore", are left out.

        Args:
            targets: The true classes.
            found: The predicted ones.
            named: How many classes have names.
        """
        size = max(named, found.size or 0)
        if not size:  # neither names nor scores tell it
            size = int(torch.stack((targets.max(), found.classes.max())).max()) + 1
        self.grow(size, targets.device)
        if self.table is None:
            return
        guessed = found.classes.to(targets.device)
        valid = (targets >= 0) & (targets < self.size) & (guessed >= 0) & (guessed < self.size)
        places = torch.where(valid, targets * self.size + guessed, 0)
        self.table.view(-1).scatter_add_(0, places, valid.long())

    def grow(self, size: int, device: torch.device) -> None:
        """Make room for so many classes."""
        old, before = self.table, self.size
        self.size = max(size, before)
        if self.size > self.MOST:
            self.table = None
        elif self.size > before:
            self.table = torch.zeros((self.size, self.size), dtype=torch.int64, device=device)
            if old is not None:
                self.table[:before, :before] = old


def per_class(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> list[list[Any]]:
    """Return a row for each class: name, precision, recall and F1 to four digits, count; None for what is undefined.

    Args:
        matrix: How often each class (a row) was taken for each (a column).
        names: Names of the classes.
    """
    rows: list[list[Any]] = []
    for place, name in enumerate(names):
        hits, count = matrix[place][place], sum(matrix[place])
        taken = sum(row[place] for row in matrix)
        rows.append([name, _share(hits, taken), _share(hits, count), _share(2 * hits, taken + count), count])
    return rows


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, _DIGITS) if whole else None
