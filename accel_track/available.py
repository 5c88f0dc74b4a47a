"""The questions `is_…_available`: the installed packages, and the abilities of the hardware."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

PACKAGES = {
    "4bit_bnb": "bitsandbytes",
    "8bit_bnb": "bitsandbytes",
    "aim": "aim",
    "amdsmi": "amdsmi",
    "bnb": "bitsandbytes",
    "bitsandbytes_multi_backend": "bitsandbytes",
    "boto3": "boto3",
    "clearml": "clearml",
    "comet_ml": "comet_ml",
    "datasets": "datasets",
    "deepspeed": "deepspeed",
    "dvclive": "dvclive",
    "import_timer": "import_timer",
    "lomo": "lomo_optim",
    "matplotlib": "matplotlib",
    "megatron_lm": "megatron",
    "mlflow": "mlflow",
    "msamp": "msamp",
    "pandas": "pandas",
    "peft": "peft",
    "pynvml": "pynvml",
    "pytest": "pytest",
    "rich": "rich",
    "sagemaker": "sagemaker",
    "schedulefree": "schedulefree",
    "swanlab": "swanlab",
    "tensorboard": "tensorboard",
    "timm": "timm",
    "torchao": "torchao",
    "torchdata": "torchdata",
    "torchdata_stateful_dataloader": "torchdata.stateful_dataloader",
    "torchvision": "torchvision",
    "trackio": "trackio",
    "transformer_engine": "transformer_engine",
    "transformers": "transformers",
    "triton": "triton",
    "wandb": "wandb",
}
"""Package to import by the name in `is_…_available`."""
WITHOUT = (
    "fp8",
    "hpu",
    "mlu",
    "musa",
    "neuron",
    "npu",
    "pippy",
    "sdaa",
    "torch_xla",
    "transformer_engine_mxfp8",
    "xccl",
    "xpu",
)
"""Devices and numbers, by that name, that an `Accelerator` does not use, so that none is available to it."""


def is_available(name: str) -> bool:
    """Return whether a package of `PACKAGES` is installed; it is not imported."""
    try:
        return find_spec(PACKAGES[name]) is not None
    except (ImportError, ValueError):  # half a package, or one that a test has put away
        return False


def __getattr__(name: str) -> Any:
    """Return the question `is_<name>_available` about a package, or about what is not used."""
    about = name.removeprefix("is_").removesuffix("_available")
    if f"is_{about}_available" != name or about not in {*PACKAGES, *WITHOUT}:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)

    def question(*args: Any, **kwargs: Any) -> bool:  # noqa: ARG001 - of a device's kind, which does not matter here
        return about in PACKAGES and is_available(about)

    question.__name__ = question.__qualname__ = name
    question.__doc__ = f"Return whether {about} is available."
    return question


def __dir__() -> list[str]:
    """List the questions."""
    return sorted({*globals(), *(f"is_{one}_available" for one in (*PACKAGES, *WITHOUT))})


def is_cuda_available() -> bool:
    """Return whether torch has a CUDA device."""
    import torch

    return torch.cuda.is_available()


def is_mps_available(min_version: str = "1.12") -> bool:  # noqa: ARG001 - torch is newer
    """Return whether torch has Apple's GPU."""
    import torch

    return torch.backends.mps.is_available()


def is_bf16_available(ignore_tpu: bool = False) -> bool:  # noqa: ARG001 - there are none
    """Return whether the GPU computes with bfloat16; without a GPU, torch's CPU does."""
    import torch

    return torch.cuda.is_bf16_supported() if torch.cuda.is_available() else True


def is_rocm_available() -> bool:
    """Return whether torch has an AMD GPU."""
    import torch

    return torch.version.hip is not None and torch.cuda.is_available()


def is_weights_only_available() -> bool:
    """Return True: `torch.load` can be kept from executing code."""
    return True


def is_fp16_available() -> bool:
    """Return True: torch computes with float16 on every device, if slowly on a CPU."""
    return True


def is_torch_version(operation: str, version: str) -> bool:
    """Return whether torch's version is as an operation such as ">=" says."""
    return compare_versions("torch", operation, version)


def compare_versions(library_or_version: Any, operation: str, requirement_version: str) -> bool:
    """Return whether a package's version, or a version, is as an operation such as ">=" says.

    Raises:
        ValueError: An unknown operation.
    """
    from importlib.metadata import version as installed

    from packaging.version import Version

    one = Version(installed(library_or_version)) if isinstance(library_or_version, str) else library_or_version
    other = Version(requirement_version)
    answers = {
        ">": one > other,
        ">=": one >= other,
        "<": one < other,
        "<=": one <= other,
        "==": one == other,
        "!=": one != other,
    }
    if operation not in answers:
        message = f"`operation` must be one of {', '.join(answers)}; got {operation!r}."
        raise ValueError(message)
    return answers[operation]
