"""What a busy neighbour does to training: the default network's step, alone and beside a process.

    python -m benchmarks.neighbour

The neighbour trains too, on one thread, in a session of its own as if in another terminal: Linux
divides the cores among sessions. Threads of torch that wait for others spin; how often before they
sleep is `GOMP_SPINCOUNT`, which `pipeline` sets. Each row is a process of its own, in turns with
the others; each figure is the median time of a step on random images, batches of 64.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmarks.steps import build_stepper
from pipeline.core.params import load_params
from pipeline.core.process import usable_cores
from pipeline.modeling.device import choose_compute

SPINS = ("300000", "3000", "1000", "0")  # the first is what libgomp does by default
WARM_UP = 3
START_S = 15.0  # until the neighbour trains


def main() -> None:
    """Measure and print, a line for each number of spins and one for a single thread."""
    arguments = _arguments()
    if arguments.child:
        print(_median_step(arguments))
        return
    cores = usable_cores()
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {cores} cores")
    rows = [(cores, spins) for spins in SPINS] + [(1, SPINS[0])]
    alone: dict[tuple[int, str], list[float]] = {row: [] for row in rows}
    beside: dict[tuple[int, str], list[float]] = {row: [] for row in rows}
    for _ in range(arguments.rounds):
        for row in rows:
            alone[row].append(_measured(arguments, *row))
        with _neighbour(arguments):
            for row in rows:
                beside[row].append(_measured(arguments, *row))
    for threads, spins in rows:
        print(
            f"{threads} threads, {spins:>6s} spins: alone {_in_ms(alone[threads, spins])}, "
            f"beside another training {_in_ms(beside[threads, spins])}"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size-px", type=int, default=48)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def _neighbour(arguments: argparse.Namespace) -> Iterator[None]:
    """Train on one thread until the block has ended."""
    command = _child(arguments, threads=1, steps=1_000_000)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as training:
        time.sleep(START_S)
        try:
            yield
            if training.poll() is not None:
                raise RuntimeError("the neighbour ended while steps were measured")
        finally:
            training.kill()


def _measured(arguments: argparse.Namespace, threads: int, spins: str) -> float:
    """Measure in a process of its own: the variable is read when torch is loaded."""
    run = subprocess.run(
        _child(arguments, threads=threads, steps=arguments.steps),
        env={**os.environ, "GOMP_SPINCOUNT": spins},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout)


def _child(arguments: argparse.Namespace, *, threads: int, steps: int) -> list[str]:
    return [
        *(sys.executable, "-m", "benchmarks.neighbour", "--child"),
        *("--size-px", str(arguments.size_px)),
        *("--threads", str(threads), "--steps", str(steps)),
    ]


def _median_step(arguments: argparse.Namespace) -> float:
    """Return the median seconds of a training step."""
    params = load_params().train
    compute = choose_compute(device="cpu", threads=arguments.threads, precision=params.precision)
    step = build_stepper("compact", params, compute=compute)
    shape = (params.batch_size, arguments.size_px, arguments.size_px, 3)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    labels = torch.randint(0, 2, shape[:1])
    seconds = []
    for _ in range(WARM_UP + arguments.steps):
        start = time.perf_counter()
        step(pixels, labels)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[WARM_UP:])


def _in_ms(seconds: list[float]) -> str:
    low, high = 1e3 * min(seconds), 1e3 * max(seconds)
    return f"{1e3 * statistics.median(seconds):.0f} ms ({low:.0f} to {high:.0f})"


if __name__ == "__main__":
    main()
