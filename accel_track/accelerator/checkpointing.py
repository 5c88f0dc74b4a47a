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
        """Number of the next automatic checkpoint."""
        return self.project_configuration.iteration

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def register_for_checkpointing(self, *objects: Any) -> None:
        """Have `save_state` and `load_state` include more objects.

        Raises:
            TypeError: An object lacks `state_dict` or `load_state_dict`.
        """
        for one in objects:
            if not (hasattr(one, "state_dict") and hasattr(one, "load_state_dict")):
                message = f"cannot checkpoint a {type(one).__name__}: it needs `state_dict` and `load_state_dict`."
                raise TypeError(message)
        self._registered.extend(objects)

    def register_save_state_pre_hook(self, hook: Callable[[list[Any], list[Any], str], Any]) -> RemovableHandle:
        """Have `save_state` call a function before it writes: `hook(models, weights, output_dir)`.

        The function may write files of its own into the folder, which exists, and take weights out of the list, which
        are not written then.

        Args:
            hook: It is called with the modules that were given to `prepare`, a list of their `state_dict`s and the
                folder, on each process that calls `save_state`.

        Returns:
            A handle whose `remove()` takes the function away again.

        Raises:
            TypeError: `hook` cannot be called.
        """
        return self._before_saving.add(hook)

    def register_load_state_pre_hook(self, hook: Callable[[list[Any], str], Any]) -> RemovableHandle:
        """Have `load_state` call a function before it reads: `hook(models, input_dir)`.

        The function may load modules by itself and take them out of the list; the others get the weights that
        `save_state` wrote, in their order.

        Args:
            hook: It is called with the modules that were given to `prepare` and the folder.

        Returns:
            A handle whose `remove()` takes the function away again.

        Raises:
            TypeError: `hook` cannot be called.
        """
        return self._before_loading.add(hook)

    def save_state(self, output_dir: str | os.PathLike[str] | None = None, safe_serialization: bool = True) -> str:
        """Save everything prepared or registered, and the random states of each process that calls this.

        With a folder, this may be called on the main process alone. Without one, call it on all processes.

        Args:
            output_dir: Folder; may be left out with `automatic_checkpoint_naming`.
            safe_serialization: Without effect: the file is always one of tensors and plain data, as torch writes it.

        Returns:
            The folder.

        Raises:
            ValueError: No folder, and no automatic naming.
            FileExistsError: The next automatic folder exists already.
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
        """Restore what `save_state` saved, into objects prepared in the same order; call this on all processes.

        Args:
            input_dir: Folder; left out with `automatic_checkpoint_naming`, the newest checkpoint is taken.

        Returns:
            The folder.

        Raises:
            ValueError: No folder, and no automatic naming.
            FileNotFoundError: There is no checkpoint there.
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
        """Return a model's weights, by the names that they have in the module given to `prepare`.

        Args:
            model: The model, prepared or not.
            unwrap: Whether names are those without wrappers; Fabric's wrapper changes none.
        """
        return (self.unwrap_model(model, keep_torch_compile=False) if unwrap else model).state_dict()

    def save(self, obj: Any, f: Any, safe_serialization: bool = False) -> None:
        """Write an object to a file on the main process only.

        Args:
            obj: What `torch.save` takes, or with `safe_serialization` a dictionary of tensors.
            f: The file.
            safe_serialization: Whether the file is of the format safetensors, else torch's (pickle).

        Raises:
            MissingPackageError: safetensors is not installed.
            TypeError: With `safe_serialization`, `obj` is no dictionary of tensors.
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
            save_directory: Folder; created when missing.
            max_shard_size: The most bytes of one file, or a text such as "5GB"; larger models become several files
                with an index.
            safe_serialization: Whether the format is safetensors, else torch's (pickle), in `pytorch_model.bin`.

        Raises:
            MissingPackageError: huggingface_hub or safetensors is not installed.
            NotADirectoryError: `save_directory` is a file.
        """
        if self.is_main_process:
            saving.save_model(self.get_state_dict(model), save_directory, max_shard_size, safe_serialization)

    @property
    def should_save_model(self) -> bool:
        """True: each process has the whole model."""
        return True


def _folder(path: str | os.PathLike[str] | None, argument: str) -> Path:
    if path is None:
        message = f"`{argument}` is missing; give a folder, or set automatic_checkpoint_naming in ProjectConfiguration."
        raise ValueError(message)
    return Path(path)
