"""Which device, how many threads, which precision."""

import ctypes
import logging
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache

import torch

from pipeline.core.errors import InstallationError
from pipeline.core.process import available_cores
from pipeline.core.seats import claim, notice_company
from pipeline.modeling.weight_gradient import GatheredWeightGradients

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Where tensors live and how they are multiplied."""

    device: torch.device
    bf16: bool
    gathers: bool = False
    """Gradients of kernels are computed by `weight_gradient`, which is faster on some CPUs."""

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass."""
        if not self.bf16:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def gradients(self) -> AbstractContextManager[object]:
        """Return the context of a forward pass that a backward pass is to follow."""
        return GatheredWeightGradients() if self.gathers else nullcontext()


def choose_compute(*, device: str, threads: int | None, precision: str) -> Compute:
    """Set torch up for reproducible work and return where to run.

    Args:
        device: `auto`, `cpu` or `cuda`.
        threads: CPU threads of one operation; None is one per core.
        precision: `auto`, `bf16` or `fp32`.

    On a GPU this waits until one of those that torch sees is free, and keeps it until the process
    ends: two queue workers never train on the same one.

    Raises:
        InstallationError: a GPU is asked for and torch sees none.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    set_threads(threads)
    # The same as use_deterministic_algorithms(True, warn_only=True), which for the sake of
    # torch.compile, not used here, imports its compiler: three seconds of every stage.
    torch.set_deterministic_debug_mode("warn")
    # Nothing here reads memory that it did not write; filling it took 14 % of a training step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    # fp32 is fp32, as the exported model computes: TF32 moves probabilities by 1e-3.
    torch.backends.cudnn.allow_tf32 = False
    _keep_freed_memory()
    chosen = torch.device(_device_name(device))
    if chosen.type == "cuda":
        torch.cuda.set_device(_claimed_gpu())
    else:
        notice_company(torch.get_num_threads())
    bf16 = precision == "bf16" or (precision == "auto" and _multiplies_bf16(chosen))
    log.info("running on %s, %s", _described(chosen), "bf16" if bf16 else "fp32")
    gathers = chosen.type == "cpu" and not bf16 and _lacks_avx512()
    return Compute(device=chosen, bf16=bf16, gathers=gathers)


def set_threads(threads: int | None) -> None:
    """Set the CPU threads of one operation; None is one per core that is this process's."""
    torch.set_num_threads(threads or available_cores())


def threads_in_use() -> int:
    """Return the CPU threads of one operation."""
    return torch.get_num_threads()


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h


@cache
def _keep_freed_memory() -> None:
    """Have glibc use freed memory again instead of returning it to the system.

    Every step asks for the same large blocks, and getting them anew, page by page, is 3 to 9 % of
    it. Another C library is left as it is.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if set_option is not None:
        set_option(M_MMAP_MAX, 0)
        set_option(M_TRIM_THRESHOLD, 2**31 - 1)


@cache  # the lock is kept until the process ends, and a second one would wait for the first
def _claimed_gpu() -> int:
    """Return the index of a GPU that no other process of a pipeline uses."""
    count = torch.cuda.device_count()
    return claim([str(torch.cuda.get_device_properties(index).uuid) for index in range(count)])


def _device_name(device: str) -> str:
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise InstallationError(
            "runtime.device: found cuda, but torch sees no GPU; see nvidia-smi, or set auto or cpu"
        )
    return "cuda" if available and device != "cpu" else "cpu"


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = _capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _lacks_avx512() -> bool:
    """Tell whether this is a CPU for which oneDNN has no kernel gradient in channels-last."""
    capabilities = _capabilities()
    return bool(capabilities.get("avx2")) and not capabilities.get("avx512_f")


def _capabilities() -> dict[str, bool]:
    found: dict[str, bool] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # absent from older releases
    return found


def _described(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU with {torch.get_num_threads()} threads"
