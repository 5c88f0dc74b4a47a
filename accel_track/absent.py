"""The names of Hugging Face Accelerate that are not here, and what to use instead."""

from __future__ import annotations

import os
import re
from typing import Any, NoReturn

_KEEP = (
    "keep accelerate's own Accelerator and give it this package's trackers: "
    "log_with=[accel_track.bridges.as_accelerate_tracker(...)]"
)
SHARDED = (
    "it belongs to sharded training (DeepSpeed, FSDP, Megatron-LM, tensor or context parallelism), which is not here; "
    f"{_KEEP}"
)
HELPER = "it may be imported from accelerate, which can be installed beside this package"
FP8 = "it belongs to FP8, which is not here: `mixed_precision` is 'no', 'fp16' or 'bf16'"
_COMPILE = "call torch.compile before `prepare`"
_PROFILE = "use torch.profiler.profile around the loop"
_LAUNCH = "start the program with torchrun"
LARGE = f"it places large models on several devices; {HELPER}"

ACCELERATOR = {
    **dict.fromkeys(
        (
            "context_parallel_rank",
            "data_parallel_rank",
            "data_parallel_shard_rank",
            "deepspeed_ulysses_dl_adapter",
            "is_composable_parallelism_enabled",
            "maybe_context_parallel",
            "pipeline_parallel_rank",
            "tensor_parallel_rank",
            "torch_device_mesh",
        ),
        SHARDED,
    ),
    "fp8_backend": FP8,
    "join_uneven_inputs": "it is not needed: all processes get equally many batches; take the block away",
    "lomo_backward": "call the optimizer's own `fused_backward`",
    "profile": _PROFILE,
    "trigger_sync_in_backward": "run the last forward and backward pass outside of `no_sync`",
    "verify_device_map": "models that are spread over devices are not prepared",
}
"""Attributes of `Accelerator`."""

PACKAGE = {
    **dict.fromkeys(
        ("DeepSpeedPlugin", "FullyShardedDataParallelPlugin", "ParallelismConfig", "prepare_pippy"), SHARDED
    ),
    **dict.fromkeys(
        (
            "cpu_offload",
            "cpu_offload_with_hook",
            "disk_offload",
            "dispatch_model",
            "infer_auto_device_map",
            "init_empty_weights",
            "init_on_device",
            "load_checkpoint_and_dispatch",
            "load_checkpoint_in_model",
        ),
        LARGE,
    ),
    **dict.fromkeys(("debug_launcher", "notebook_launcher"), _LAUNCH),
    "ProfileKwargs": _PROFILE,
}
"""Names of the package itself."""

_UTILS = {
    **PACKAGE,
    **dict.fromkeys(("DynamoBackend", "TorchDynamoPlugin"), _COMPILE),
    **dict.fromkeys(("PrecisionType", "RNGType"), "use the texts, such as 'fp16' or 'torch'"),
    "write_basic_config": "no configuration file is read; start the program with torchrun",
}
_SHARDED_NAMES = re.compile(
    r"(?i)deepspeed|fsdp|fully_?shard|megatron|parallel|train_?step|gathered_?param|dummy_?(optim|sched)|has_dtensor|_tp_"
)
_FP8_NAMES = re.compile(r"(?i)fp8|msamp|RecipeKwargs|transformer_engine|torchao|_ao(_|$)|^convert_model|linear_layers")

ARGUMENTS = {
    **dict.fromkeys(("deepspeed_plugins", "parallelism_config", "torch_tp_plugin"), SHARDED.removeprefix("it ")),
    **dict.fromkeys(("dynamo_backend", "dynamo_plugin"), f"is not here: {_COMPILE}"),
    **dict.fromkeys(("dispatch_batches", "even_batches"), "is a field of DataLoaderConfiguration"),
    "rng_types": "is not needed: the order of shuffled data is the same on all processes, by `set_seed`",
    "downcast_bf16": "is for TPUs only",
}
"""Arguments of `Accelerator`, with what it is or does."""


def in_utils(name: str) -> str:
    """Return the hint for a name of accelerate's `utils` that is not here."""
    if name in _UTILS:
        return _UTILS[name]
    if _FP8_NAMES.search(name):
        return FP8
    return SHARDED if _SHARDED_NAMES.search(name) else HELPER


def not_here(module: str, name: str) -> NoReturn:
    """Raise the error of a name that a module does not have.

    Raises:
        ImportError: The name is public; `from … import …` shows another error's text to nobody.
        AttributeError: It is not.
    """
    if name.startswith("_"):
        message = f"module {module!r} has no attribute {name!r}"
        raise AttributeError(message)
    about = in_utils(name)
    hint = f"if it is accelerate's, {about}" if about == HELPER else about
    message = f"{module} has no {name!r}: {hint}. The page migrating/accelerate.md lists what is here."
    raise ImportError(message, name=module)


def refuse(**plugins: Any) -> None:
    """Refuse the plugins of sharded training, also where `accelerate launch` asks for them.

    Raises:
        NotImplementedError: There is one.
    """
    asked = [f"`{name}`" for name, plugin in plugins.items() if plugin is not None]
    variables = ("ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_FSDP", "ACCELERATE_USE_MEGATRON_LM")
    asked += [f"`{name}=true`" for name in variables if os.environ.get(name, "").lower() == "true"]
    if asked:
        message = f"Accelerator: {' and '.join(asked)}: {SHARDED}."
        raise NotImplementedError(message)
