"""The names of metrics: chosen by patterns, and whether small or large values are good under them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from accel_track.rules import any_of

# fmt: off
_SMALL = frozenset((
    "loss", "losses", "err", "error", "errors", "perplexity", "ppl", "mse", "mae", "rmse", "mape", "nll", "bce", "ce",
    "bpc", "bpb", "wer", "cer", "fid", "regret",
))
_LARGE = frozenset((
    "acc", "accuracy", "f1", "auc", "auroc", "auprc", "ap", "map", "precision", "recall", "score", "bleu", "rouge",
    "iou", "miou", "dice", "r2", "psnr", "ssim", "reward", "return", "returns", "top1", "top5", "mrr", "ndcg",
    "pearson", "spearman", "mcc",
))
# fmt: on
_WORDS = re.compile(r"[a-z]+\d*|\d+")


def good(name: str) -> Literal["min", "max"] | None:
    """Return whether small or large values are good, by the words of a metric's name; None if they do not say."""
    words = frozenset(_WORDS.findall(name.lower()))
    small, large = bool(words & _SMALL), bool(words & _LARGE)
    return None if small == large else "min" if small else "max"


def chosen(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that fit patterns, those of the first pattern first, each once.

    Args:
        names: All names.
        patterns: Names, or patterns as those of rules: `*` stands for any characters and `?` for one.

    Raises:
        ValueError: A pattern fits none; the message says which names are near to it.
    """
    there = sorted(names)
    found: dict[str, None] = {}
    for pattern in patterns:
        fits = any_of([pattern])
        its = [name for name in there if name == pattern or (fits is not None and fits.fullmatch(name))]
        if not its:
            near = difflib.get_close_matches(pattern, there, n=3, cutoff=0.4)
            message = f"there is no metric {pattern!r}" + (f"; there is {', '.join(near)}." if near else ".")
            raise ValueError(message)
        found |= dict.fromkeys(its)
    return list(found)
