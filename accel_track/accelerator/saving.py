"""Models and other objects in files, and models without their wrappers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from accel_track.errors import MissingPackageError
from accel_track.state import PartialState

MODEL_NAME, SAFE_MODEL_NAME = "pytorch_model", "model"
WEIGHTS_NAME, SAFE_WEIGHTS_NAME = "pytorch_model.bin", "model.safetensors"
WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_INDEX_NAME = f"{WEIGHTS_NAME}.index.json", f"{SAFE_WEIGHTS_NAME}.index.json"


def extract_model_from_parallel(
    model: nn.Module,
    keep_fp32_wrapper: bool = True,  # noqa: ARG001 - see below
    keep_torch_compile: bool = True,
    recursive: bool = False,
) -> nn.Module:
    """Return a module without the wrappers of Fabric, DistributedDataParallel and DataParallel.

    Args:
        model: The module.
        keep_fp32_wrapper: Without effect: Fabric's wrapper sets the precision, and is always taken off.
        keep_torch_compile: Whether `torch.compile`'s wrapper stays around the module.
        recursive: False: modules inside modules stay as they are.

    Raises:
        ValueError: `recursive` is true.
    """
    from lightning.fabric.wrappers import _FabricModule

    if recursive:
        message = "extract_model_from_parallel: `recursive=True` is not supported; take the parts off one by one."
        raise ValueError(message)
    compiled = model if is_compiled_module(model) else None
    inner = model._orig_mod if compiled is not None else model  # noqa: SLF001 - torch's name for it
    while isinstance(inner, (_FabricModule, nn.parallel.DistributedDataParallel, nn.DataParallel)):
        inner = inner.module
    if compiled is None:
        return inner  # type: ignore[return-value] # as above
    return compiled if keep_torch_compile and inner is compiled._orig_mod else inner  # type: ignore[return-value] # noqa: SLF001


def is_compiled_module(module: Any) -> bool:
    """Return whether `torch.compile` has wrapped a module."""
    return isinstance(module, torch._dynamo.eval_frame.OptimizedModule) if hasattr(torch, "_dynamo") else False  # noqa: SLF001


def save(
    obj: Any, f: str | os.PathLike[str] | Any, save_on_each_node: bool = False, safe_serialization: bool = False
) -> None:
    """Write an object to a file, on the main process only.

    Args:
        obj: An object that `torch.save` takes; with `safe_serialization`, a dictionary of tensors.
        f: The file.
        save_on_each_node: Whether the main process of each machine writes the file.
        safe_serialization: Whether the file's format is safetensors instead of torch's, which is pickle.

    Raises:
        MissingPackageError: The package safetensors is not installed.
        TypeError: With `safe_serialization`, `obj` is not a dictionary of tensors.
    """
    state = PartialState()
    if not (state.is_local_main_process if save_on_each_node else state.is_main_process):
        return
    if safe_serialization:
        if not isinstance(obj, Mapping) or not all(isinstance(one, torch.Tensor) for one in obj.values()):
            message = f"`safe_serialization=True` takes a dictionary of tensors; got {type(obj).__name__}."
            raise TypeError(message)
        _hub("safetensors.torch").save_file(_apart(obj), f, metadata={"format": "pt"})
    else:
        torch.save(obj, f)


def save_model(
    weights: Mapping[str, torch.Tensor],
    save_directory: str | os.PathLike[str],
    max_shard_size: int | str,
    safe_serialization: bool,
) -> None:
    """Write weights to `model.safetensors` or `pytorch_model.bin`, or several such files with an index.

    Args:
        weights: Tensors by name.
        save_directory: The folder, which is created if it is missing.
        max_shard_size: The largest size of a file, in bytes or as a text such as "5GB".
        safe_serialization: Whether the file's format is safetensors instead of torch's, which is pickle.

    Raises:
        MissingPackageError: The package huggingface_hub or safetensors is not installed.
        NotADirectoryError: `save_directory` is a file.
    """
    if os.path.isfile(save_directory):
        message = f"save_model writes to a folder; {os.fspath(save_directory)!r} is a file."
        raise NotADirectoryError(message)
    hub = _hub("huggingface_hub")
    if safe_serialization:
        _hub("safetensors.torch")
    os.makedirs(save_directory, exist_ok=True)
    pattern = "model{suffix}.safetensors" if safe_serialization else "pytorch_model{suffix}.bin"
    hub.save_torch_state_dict(
        dict(weights),
        save_directory,
        filename_pattern=pattern,
        max_shard_size=max_shard_size,
        safe_serialization=safe_serialization,
        metadata={"format": "pt"} if safe_serialization else None,
    )


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors that share no memory and have no gaps, as the format requires; the others are copied."""
    apart, taken = {}, set()
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage()
        alone = storage.data_ptr() not in taken and storage.nbytes() == tensor.nbytes and tensor.is_contiguous()
        taken.add(storage.data_ptr())
        whole = tensor.detach()
        apart[name] = whole if alone else whole.clone(memory_format=torch.contiguous_format)
    return apart


def load(f: str | os.PathLike[str] | Any, map_location: Any = None, **kwargs: Any) -> Any:
    """Read a file that `save` has written in torch's format.

    Only tensors and plain data are read. Anything else needs `weights_only=False`, which runs the code in the file.

    Args:
        f: The file.
        map_location: The device of the tensors, as `torch.load` takes it.
        **kwargs: Further arguments of `torch.load`.
    """
    return torch.load(f, map_location=map_location, **{"weights_only": True, **kwargs})


def _hub(module: str) -> Any:
    """Import a module of a package that only models in files need."""
    from importlib import import_module

    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ImportError as error:
        message = f"{package} is not installed and writes this file: pip install {package}"
        raise MissingPackageError(message) from error
