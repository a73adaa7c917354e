"""How the processes of a group are started and find each other: PyTorch's elastic launcher.

The stage starts itself again, once for each process, and waits. A process that finds itself in a
group, started by the stage or by torchrun from outside, joins it.
"""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NoReturn

import torch
from torch import distributed as dist
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import (
    ChildFailedError,
    ProcessFailure,
    get_error_handler,
)
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from pipeline.core import errors
from pipeline.core.errors import InstallationError, ParamsError, PipelineError, TrainingError
from pipeline.modeling.group import ALONE, Group, PeerLost

MEMBER = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun, and Kubernetes' PyTorchJob without it, sets for each process of a group."""
LAUNCHED = "PIPELINE_LAUNCHED"
"""Set for processes that the stage started, which leave it to the stage to tell what went wrong."""
SHUTDOWN_S = 10
"""A process that has not left by then, see `stopping`, is killed."""


def processes_to_start(*, launcher: str, processes: int | None, device: str) -> int:
    """Return how many processes the stage is to start; 0 where it is to do the work itself.

    Args:
        launcher: `none` or `torchrun`.
        processes: on this machine; None is one per GPU.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        ParamsError: more processes than GPUs are asked for.
    """
    if launcher == "none" or is_member(os.environ):
        return 0
    n_gpus = torch.cuda.device_count() if device != "cpu" else 0
    if n_gpus and processes is not None and processes > n_gpus:
        raise ParamsError(
            f"runtime.processes: found {processes}, allowed: at most {n_gpus}, the number of GPUs; "
            "or runtime.device: cpu"
        )
    wanted = processes or n_gpus
    return wanted if wanted > 1 else 0


def is_member(environment: Mapping[str, str]) -> bool:
    """Tell whether somebody started this process as one of several."""
    return all(environment.get(name) for name in MEMBER) and environment["WORLD_SIZE"] != "1"


def launch(module: str, *, processes: int) -> None:
    """Run `python -m module` in so many processes on this machine, and wait for them.

    After SIGTERM or Ctrl-C they save and leave, and this process ends with their status.

    Raises:
        TrainingError: one failed; the others have been ended.
    """
    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    logging.getLogger("torch.distributed.elastic.agent.server.api").setLevel(logging.CRITICAL)
    asked = signal.SIGTERM

    def interrupted(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = signal.SIGINT
        # To them it is SIGTERM: one that is still importing would show where it was interrupted.
        raise SignalException("interrupted", signal.SIGTERM)

    os.environ |= {LAUNCHED: "1", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(SHUTDOWN_S)}
    before = signal.signal(signal.SIGINT, interrupted)
    try:
        with TemporaryDirectory(prefix="launch-") as folder:  # what went wrong in each process
            config = LaunchConfig(
                min_nodes=1,
                max_nodes=1,
                nproc_per_node=processes,
                rdzv_backend="c10d",
                rdzv_endpoint="localhost:0",
                local_addr="localhost",
                run_id=str(os.getpid()),
                max_restarts=0,
                signals_to_handle="SIGTERM,SIGHUP,SIGQUIT",
                logs_specs=DefaultLogsSpecs(log_dir=folder),
            )
            elastic_launch(config, sys.executable)("-m", module)
    except ChildFailedError as error:
        raise TrainingError(_told(error.failures)) from None
    except SignalException:
        _end(128 + asked)
    finally:
        signal.signal(signal.SIGINT, before)
        del os.environ[LAUNCHED]


@contextmanager
def joined_group(*, device: str) -> Iterator[Group]:
    """Yield the group that this process was started for, if any; one alone otherwise.

    Raises:
        InstallationError: there is no GPU left for this process.
        PeerLost: the others are not there.
        SystemExit: in a process that the stage started, which will tell what went wrong.
    """
    if not is_member(os.environ):
        yield ALONE
        return
    group = Group(
        rank=int(os.environ["RANK"]),
        size=int(os.environ["WORLD_SIZE"]),
        local_size=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
    )
    if not group.first:
        logging.disable(logging.WARNING)
        warnings.simplefilter("ignore")
    try:
        _connect(device)
        yield group
        dist.destroy_process_group()
        if LAUNCHED in os.environ:
            raise SystemExit(0)  # the stage says that it is done
    except SystemExit as stopped:
        _end(stopped.code if isinstance(stopped.code, int) else 1)
    except Exception as error:
        if LAUNCHED in os.environ:
            get_error_handler().record_exception(error)
            if isinstance(error, PipelineError):
                _end(1)
        raise


def _end(status: int) -> NoReturn:
    """Leave at once: threads of torch wait ten seconds for others that have left."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _connect(device: str) -> None:
    """Meet the other processes; which GPU is whose is decided by `choose_compute`."""
    gpu = device != "cpu" and torch.cuda.is_available()
    if gpu:
        local_rank, n_gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local_rank >= n_gpus:
            raise InstallationError(
                f"process {local_rank} of this machine has no GPU, there are {n_gpus}; "
                "start as many processes as GPUs, or set runtime.device: cpu"
            )
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
    except (RuntimeError, ValueError) as error:
        detail = " ".join(str(error).split())[:200]
        raise PeerLost(f"the processes of the training do not meet ({detail})") from error


def _told(failures: Mapping[int, ProcessFailure]) -> str:
    """Return one line about the process that failed by itself, not for the end of another."""
    ended = (-signal.SIGTERM, 128 + signal.SIGTERM)  # by the launcher, after the first failure

    def order(rank: int) -> tuple[bool, bool, int, int]:
        failure = failures[rank]
        lost = _message(failure).startswith(f"{PeerLost.__name__}: ")
        return failure.exitcode in ended, lost, failure.timestamp, rank

    rank = min(failures, key=order)
    failure = failures[rank]
    kind, _, text = _message(failure).partition(": ")
    if text and hasattr(errors, kind):  # a PipelineError, which says all
        return text
    if failure.exitcode < 0:
        why = f"was killed by signal {-failure.exitcode} ({failure.signal_name()})"
    else:
        why = f"failed: {_message(failure) or f'status {failure.exitcode}'}"
    return (
        f"process {failure.pid}, number {rank} of the training, {why}; the others have been ended; "
        "the next run continues from the last checkpoint"
    )


def _message(failure: ProcessFailure) -> str:
    """Return what the process recorded, `Type: text` in one line; empty if nothing."""
    recorded = failure.error_file_data.get("message")
    text = recorded.get("message", "") if isinstance(recorded, dict) else ""
    return " ".join(str(text).split())
