"""How much of what the machine can multiply a training step uses, and what its input costs.

    python -m benchmarks.utilisation --arch compact --size-px 64 --batch-size 64

FLOPs are counted by torch's own counter over one forward and backward pass (convolutions and
matrix products; those of the optimizer are listed apart) and divided by the median time of a whole
step. The peak is the best of several square matrix products, in the precision of the training,
measured in the same run, between the steps. Images are random: nothing is decoded, but order, crops
and mirroring are those of params.yaml.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.steps import Stepper, build_stepper
from pipeline.core.params import load_params
from pipeline.modeling.augment import Augmentation
from pipeline.modeling.batches import train_batches
from pipeline.modeling.device import Compute, choose_compute
from pipeline.packing.packed import PackedSplit

GEMM_SIDES = (512, 1024, 2048, 4096)
PACKED_PER_CROP = 1.25
WARM_UP = 2


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    compute = choose_compute(
        device=arguments.device, threads=arguments.threads, precision=arguments.precision
    )
    clock = time.process_time if arguments.cpu_clock else time.perf_counter
    peak: list[float] = []
    figures = _measure(arguments, compute, clock, peak)
    best = max(peak)
    threads = torch.get_num_threads()
    print(
        f"{platform.processor() or platform.machine()}, {compute.device}, {threads} threads, "
        f"torch {torch.__version__}, {'bf16' if compute.bf16 else 'fp32'}"
    )
    print(f"matrix product, best of sides {GEMM_SIDES}: {best / 1e9:.0f} GFLOP/s")
    print(
        f"{arguments.arch}, {arguments.size_px} px, batch {arguments.batch_size}: "
        f"{figures['flops'] / 1e9:.1f} GFLOP a step and "
        f"{figures['optimizer_flops'] / 1e9:.1f} of the optimizer, "
        f"median {1e3 * figures['step_s']:.1f} ms (n = {arguments.steps}), "
        f"{figures['rate'] / 1e9:.0f} GFLOP/s, {figures['rate'] / best:.0%} of the peak"
    )
    print(
        f"input and augmentation: {1e3 * figures['input_s']:.1f} ms, "
        f"{figures['input_s'] / (figures['input_s'] + figures['step_s']):.1%} of the whole"
    )
    print(f"{arguments.batch_size / (figures['input_s'] + figures['step_s']):.0f} images/s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--arch", default="compact")
    parser.add_argument("--size-px", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp32"))
    parser.add_argument("--threads", type=int)
    parser.add_argument(
        "--cpu-clock",
        action="store_true",
        help="count seconds of CPU: with --threads 1 on a busy machine",
    )
    return parser.parse_args()


def _measure(
    arguments: argparse.Namespace,
    compute: Compute,
    clock: Callable[[], float],
    peak: list[float],
) -> dict[str, float]:
    params = load_params().train
    step = build_stepper(arguments.arch, params, compute=compute)
    batches = train_batches(
        _random_images(arguments),
        batch_size=arguments.batch_size,
        size_px=arguments.size_px,
        augmentation=Augmentation(crop_min_area=params.crop_min_area, flip=params.flip),
        seed=0,
        epoch=1,
    )
    wait = torch.cuda.synchronize if compute.device.type == "cuda" else lambda: None
    inputs, steps = [], []
    flops, optimizer_flops = _flops(step, *next(batches))
    for number in range(WARM_UP + arguments.steps):
        start = clock()
        pixels, labels = next(batches)
        got = clock()
        step(pixels, labels)
        wait()
        if number >= WARM_UP:  # the first ones build kernels and states
            inputs.append(got - start)
            steps.append(clock() - got)
        if number % 10 == 0:
            peak.extend(_matrix_product(side, compute, clock, wait) for side in GEMM_SIDES)
    step_s = statistics.median(steps)
    return {
        "flops": flops,
        "optimizer_flops": optimizer_flops,
        "step_s": step_s,
        "rate": flops / step_s,
        "input_s": statistics.median(inputs),
    }


def _flops(step: Stepper, pixels: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return the FLOPs of a forward and backward pass, and those of the optimizer's step.

    With torch's own gradients of kernels: the counter does not know the gathered ones.
    """
    device = step.compute.device
    with FlopCounterMode(display=False) as passes, step.compute.autocast():
        F.cross_entropy(step.model(pixels.to(device)), labels.to(device)).backward()
    with FlopCounterMode(display=False) as stepping:
        step.optimizer.step()
    step.optimizer.zero_grad(set_to_none=True)
    return float(passes.get_total_flops()), float(stepping.get_total_flops())


def _matrix_product(
    side: int, compute: Compute, clock: Callable[[], float], wait: Callable[[], None]
) -> float:
    """Return the best rate of a few products, FLOP/s."""
    kind = torch.bfloat16 if compute.bf16 else torch.float32
    a = torch.randn(side, side, device=compute.device).to(kind)
    b = torch.randn(side, side, device=compute.device).to(kind)
    times = []
    for _ in range(4):
        start = clock()
        _ = a @ b
        wait()
        times.append(clock() - start)
    return 2 * side**3 / min(times[1:])


def _random_images(arguments: argparse.Namespace) -> PackedSplit:
    rng = np.random.default_rng(0)
    n_images = arguments.batch_size * (1 + WARM_UP + arguments.steps)
    side = round(PACKED_PER_CROP * arguments.size_px)
    return PackedSplit(
        pixels=rng.integers(0, 256, (n_images, side, side, 3), dtype=np.uint8),
        labels=rng.integers(0, 2, n_images),
        paths=tuple(map(str, range(n_images))),
    )


if __name__ == "__main__":
    main()
