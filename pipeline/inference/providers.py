"""Which device ONNX Runtime is asked to use, and whether it really does.

ONNX Runtime lists CUDA wherever the GPU wheel is installed, and where CUDA cannot start it falls
back to the CPU without an error. So a device is looked for first, and the session asked afterwards.
"""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnxruntime as ort

from pipeline.core.errors import InstallationError

log = logging.getLogger(__name__)

DEVICES = ("auto", "cpu", "cuda")
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
CUDA_OPTIONS = {
    "use_tf32": "0",  # TF32 moves probabilities by 1e-3: they would differ from the CPU's
    "cudnn_conv_algo_search": "HEURISTIC",  # the default searches anew for each batch size
}


def choose_providers(device: str) -> list[Any]:
    """Return what to ask ONNX Runtime for, best first.

    Raises:
        InstallationError: `cuda` was asked for and cannot work here.
    """
    if device not in DEVICES:
        raise InstallationError(f"device {device!r}: expected one of {', '.join(DEVICES)}")
    if device == "cpu":
        return [CPU]
    obstacle = _obstacle_to_cuda()
    if obstacle and device == "cuda":
        raise InstallationError(f"device cuda: {obstacle}; use cpu or auto")
    if obstacle:
        return [CPU]
    with suppress(Exception):  # where it fails, so does the session, and `provider_in_use` tells
        ort.preload_dlls()
    return [(CUDA, CUDA_OPTIONS), CPU]


def provider_in_use(session: ort.InferenceSession, *, device: str) -> str:
    """Return the provider that the session runs on.

    Raises:
        InstallationError: `cuda` was asked for and the session fell back to the CPU.
    """
    used = str(session.get_providers()[0])
    if used == CPU and device == "cuda":
        raise InstallationError(
            "device cuda: ONNX Runtime fell back to the CPU; install the CUDA libraries with "
            "onnxruntime-gpu[cuda,cudnn] and a driver that fits, or use cpu"
        )
    if used == CPU and device == "auto" and not _obstacle_to_cuda():
        log.warning("there is a GPU, but ONNX Runtime could not use it; running on the CPU")
    return used


def _obstacle_to_cuda() -> str:
    if CUDA not in ort.get_available_providers():
        return "the installed onnxruntime is the one for CPUs; install onnxruntime-gpu"
    if not any(map(Path.exists, _device_files())):
        return "no NVIDIA device on this machine"
    return ""


def _device_files() -> list[Path]:
    """Return the device nodes of a Linux driver (not `nvidiactl` alone) and of WSL."""
    return [*Path("/dev").glob("nvidia[0-9]*"), Path("/dev/dxg")]
