"""The object that stands for a tracker, or for its native object, where nothing is to be logged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self


class NoOp:
    """An object that accepts every attribute, call, index, loop and `with`, and does nothing: `x.a(b)["c"]` works."""

    def __getattr__(self, name: str) -> NoOp:
        """Return self, except for special methods: `copy` and `pickle` must find that these are absent."""
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> NoOp:
        """Return self."""
        return self

    def __getitem__(self, key: Any) -> NoOp:
        """Return self."""
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        """Forget the value."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Forget the value."""

    def __iter__(self) -> Iterator[Any]:
        """Yield nothing."""
        return iter(())

    def __len__(self) -> int:
        """Return 0."""
        return 0

    def __bool__(self) -> bool:
        """Return False, so that `if tracker:` skips work whose only purpose is to log."""
        return False

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Let every exception through."""
