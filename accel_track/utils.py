"""Names that scripts import from a `utils` module; they are imported when first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accel_track.configuration import ProjectConfiguration
    from accel_track.registry import LoggerType

__all__ = ["LoggerType", "ProjectConfiguration"]

_MODULES = {
    "accelerator.bars": ("tqdm",),
    "accelerator.handlers": (
        "AutocastKwargs",
        "DDPCommunicationHookType",
        "DataLoaderConfiguration",
        "DistributedDataParallelKwargs",
        "GradScalerKwargs",
        "GradientAccumulationPlugin",
        "InitProcessGroupKwargs",
        "KwargsHandler",
    ),
    "accelerator.loaders": ("skip_first_batches",),
    "accelerator.memory": ("find_executable_batch_size", "release_memory"),
    "accelerator.operations": (
        "broadcast",
        "broadcast_object_list",
        "concatenate",
        "find_batch_size",
        "gather",
        "gather_object",
        "listify",
        "pad_across_processes",
        "recursively_apply",
        "reduce",
        "send_to_device",
        "wait_for_everyone",
    ),
    "accelerator.saving": (
        "MODEL_NAME",
        "SAFE_MODEL_NAME",
        "SAFE_WEIGHTS_INDEX_NAME",
        "SAFE_WEIGHTS_NAME",
        "WEIGHTS_INDEX_NAME",
        "WEIGHTS_NAME",
        "extract_model_from_parallel",
        "is_compiled_module",
        "load",
        "save",
    ),
    "accelerator.seeds": ("set_seed", "synchronize_rng_state", "synchronize_rng_states"),
    "available": (
        "compare_versions",
        "is_bf16_available",
        "is_cuda_available",
        "is_fp16_available",
        "is_mps_available",
        "is_rocm_available",
        "is_torch_version",
        "is_weights_only_available",
    ),
    "configuration": ("ProjectConfiguration",),
    "processes": ("DistributedType",),
    "registry": ("LoggerType",),
    "variables": (
        "clear_environment",
        "get_int_from_env",
        "parse_choice_from_env",
        "parse_flag_from_env",
        "patch_environment",
        "str_to_bool",
    ),
}
HOMES = {name: module for module, names in _MODULES.items() for name in names}
"""The module of each name."""


def __getattr__(name: str) -> Any:
    """Import a name, or say of one of Hugging Face Accelerate's that is not here what to use."""
    from accel_track import available

    package = __name__.rpartition(".")[0]
    if name in HOMES:
        value = getattr(import_module(f"{package}.{HOMES[name]}"), name)
    elif name.startswith("is_") and hasattr(available, name):
        value = getattr(available, name)
    else:
        from accel_track.absent import not_here

        not_here(__name__, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the names."""
    from accel_track import available

    return sorted({*globals(), *HOMES, *(one for one in dir(available) if one.startswith("is_"))})
