"""The checkpointing half of `Accelerator`: states, hooks around them, and models in files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accel_track.accelerator import checkpoints, saving
from accel_track.accelerator.hooks import Hooks
from accel_track.accelerator.training import Training
from accel_track.configuration import ProjectConfiguration

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from torch.utils.hooks import RemovableHandle


class Checkpointing(Training):
    """The training half with checkpoints.

    Args:
        configuration: Folders and checkpoint names.
        *args: Arguments of `Training`, as `kwargs` are.
        **kwargs: See `args`.
    """

    def __init__(self, configuration: ProjectConfiguration, *args: Any, **kwargs: Any) -> None:
        """Begin with nothing registered."""
        super().__init__(*args, **kwargs)
        self.project_configuration = configuration
        self._registered: list[Any] = []
        self._before_saving = Hooks("register_save_state_pre_hook")
        self._before_loading = Hooks("register_load_state_pre_hook")

    @property
    def save_iteration(self) -> int:
        """The number of the next automatic checkpoint."""
        return self.project_configuration.iteration

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def register_for_checkpointing(self, *objects: Any) -> None:
        """Include further objects in `save_state` and `load_state`.

        Args:
            *objects: Objects with the methods `state_dict` and `load_state_dict`.

        Raises:
            TypeError: An object lacks `state_dict` or `load_state_dict`.
        """
        for one in objects:
            if not (hasattr(one, "state_dict") and hasattr(one, "load_state_dict")):
                message = f"cannot checkpoint a {type(one).__name__}: it needs `state_dict` and `load_state_dict`."
                raise TypeError(message)
        self._registered.extend(objects)

    def register_save_state_pre_hook(self, hook: Callable[[list[Any], list[Any], str], Any]) -> RemovableHandle:
        """Register a function that `save_state` calls before it writes: `hook(models, weights, output_dir)`.

        The function may write files of its own into the folder, which exists by then. Weights that the function takes
        out of the list are not written.

        Args:
            hook: The function. Each process that calls `save_state` calls it with the modules that were given to
                `prepare`, the list of their `state_dict`s, and the folder.

        Returns:
            A handle whose `remove()` takes the function away again.

        Raises:
            TypeError: `hook` is not callable.
        """
        return self._before_saving.add(hook)

    def register_load_state_pre_hook(self, hook: Callable[[list[Any], str], Any]) -> RemovableHandle:
        """Register a function that `load_state` calls before it reads: `hook(models, input_dir)`.

        The function may load modules by itself and take them out of the list; the remaining modules get the weights
        that `save_state` wrote, in the same order.

        Args:
            hook: The function. Each process calls it with the modules that were given to `prepare`, and the folder.

        Returns:
            A handle whose `remove()` takes the function away again.

        Raises:
            TypeError: `hook` is not callable.
        """
        return self._before_loading.add(hook)

    def save_state(self, output_dir: str | os.PathLike[str] | None = None, safe_serialization: bool = True) -> str:
        """Save all prepared and registered objects, and the random states of each process that makes this call.

        With `output_dir`, the main process may make this call alone. Without it, call this on all processes.

        Args:
            output_dir: Folder for the state. Default: with `automatic_checkpoint_naming`, the next numbered folder.
            safe_serialization: Without effect: torch always writes a file of tensors and plain data.

        Returns:
            The folder.

        Raises:
            ValueError: There is neither `output_dir` nor `automatic_checkpoint_naming`.
            FileExistsError: The next numbered folder exists already.
        """
        configuration = self.project_configuration
        automatic = configuration.automatic_checkpoint_naming and output_dir is None
        folder = checkpoints.next_folder(configuration) if automatic else _folder(output_dir, "output_dir")
        if automatic:
            self.wait_for_everyone()  # until all have seen that the folder is new
        folder.mkdir(parents=True, exist_ok=True)
        models = [self.unwrap_model(one) for one in self._models]
        weights = [one.state_dict() for one in models]
        self._before_saving.call(models, weights, str(folder))
        checkpoints.save(self.fabric, folder, self._state(weights), self.scaler)
        if automatic:
            configuration.iteration += 1
            if self.is_main_process:
                checkpoints.prune(configuration)
        return str(folder)

    def load_state(self, input_dir: str | os.PathLike[str] | None = None) -> str:
        """Restore a state of `save_state` into objects that were prepared in the same order; a collective call.

        Args:
            input_dir: Folder of the state. Default: with `automatic_checkpoint_naming`, that of the newest one.

        Returns:
            The folder.

        Raises:
            ValueError: There is neither `input_dir` nor `automatic_checkpoint_naming`.
            FileNotFoundError: The folder has no state.
        """
        self.wait_for_everyone()  # until the main process has saved
        if self.project_configuration.automatic_checkpoint_naming and input_dir is None:
            folders = checkpoints.automatic_folders(self.project_configuration)
            if not folders:
                message = f"no checkpoint below {str(self.project_configuration.project_dir)!r} yet."
                raise FileNotFoundError(message)
            folder = folders[-1]
        else:
            folder = _folder(input_dir, "input_dir")
        checkpoints.check(folder)
        models = [self.unwrap_model(one) for one in self._models]
        self._before_loading.call(models, str(folder))
        checkpoints.load(self.fabric, folder, self._state(models), self.scaler)
        return str(folder)

    def _state(self, models: list[Any]) -> dict[str, Any]:
        kinds = {
            "model": models,
            "optimizer": [one.optimizer.optimizer for one in self._optimizers],
            "scheduler": [one.scheduler for one in self._schedulers],
            "registered": self._registered,
        }
        return {f"{kind}_{index}": one for kind, ones in kinds.items() for index, one in enumerate(ones)}

    # -- files --------------------------------------------------------------------------------------------------------

    def get_state_dict(self, model: nn.Module, unwrap: bool = True) -> dict[str, Any]:
        """Return a model's weights, by their names in the module that was given to `prepare`.

        Args:
            model: The model, prepared or not.
            unwrap: Whether to leave out the wrappers' part of the names. Fabric's wrapper adds none.
        """
        return (self.unwrap_model(model, keep_torch_compile=False) if unwrap else model).state_dict()

    def save(self, obj: Any, f: Any, safe_serialization: bool = False) -> None:
        """Write an object to a file, on the main process only.

        Args:
            obj: An object that `torch.save` takes; with `safe_serialization`, a dictionary of tensors.
            f: The file.
            safe_serialization: Whether the file's format is safetensors instead of torch's, which is pickle.

        Raises:
            MissingPackageError: The package safetensors is not installed.
            TypeError: With `safe_serialization`, `obj` is not a dictionary of tensors.
        """
        saving.save(obj, f, safe_serialization=safe_serialization)

    def save_model(
        self,
        model: nn.Module,
        save_directory: str | os.PathLike[str],
        max_shard_size: int | str = "10GB",
        safe_serialization: bool = True,
    ) -> None:
        """Write a model's weights to `model.safetensors` in a folder, on the main process only.

        Args:
            model: The model, prepared or not.
            save_directory: The folder, which is created if it is missing.
            max_shard_size: The largest size of a file, in bytes or as a text such as "5GB". A larger model becomes
                several files with an index.
            safe_serialization: Whether the file's format is safetensors; if not, torch writes `pytorch_model.bin`,
                which is pickle.

        Raises:
            MissingPackageError: The package huggingface_hub or safetensors is not installed.
            NotADirectoryError: `save_directory` is a file.
        """
        if self.is_main_process:
            saving.save_model(self.get_state_dict(model), save_directory, max_shard_size, safe_serialization)

    @property
    def should_save_model(self) -> bool:
        """Whether this process has the whole model to save: always true, since nothing is sharded."""
        return True


def _folder(path: str | os.PathLike[str] | None, argument: str) -> Path:
    if path is None:
        message = f"`{argument}` is missing; give a folder, or set automatic_checkpoint_naming in ProjectConfiguration."
        raise ValueError(message)
    return Path(path)
