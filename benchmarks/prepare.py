"""Images per second of split and pack, beside the bare loop that is their limit.

    python -m benchmarks.prepare --source PATH_OF_AN_ARCHIVE --size-px 64

The limit is what any program has to do that uses the same decoder: every process reads and decodes
its share of the images (split), then reads, decodes and scales them (pack). It has no pool, no
tables, no duplicates and no array on disk. Pipeline and limit take turns in every round.
"""

import argparse
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.projects import empty_project
from pipeline.core.archive import RawArchive
from pipeline.core.errors import ImageError
from pipeline.core.layout import Layout
from pipeline.core.params import Params, load_params
from pipeline.core.process import available_cores
from pipeline.imaging.decode import decode
from pipeline.imaging.preprocess import pixels_from_bytes
from pipeline.imaging.spec import PreprocessSpec
from stages import download, pack, split

SHOWN_FROM_S = 0.005


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    params = _params(arguments)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        os.chdir(folder)  # the stages' records of what they saw belong here
        layout = empty_project(Path(folder))
        download.run(params, layout)
        with RawArchive(layout.raw_archive) as archive:
            n_images = len(archive.members)
        _print_machine(n_images, params)
        rounds = [_round(params, layout) for _ in range(arguments.rounds)]
    _print_rounds(rounds, n_images)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", help="an archive or folder; drawn images if left out")
    parser.add_argument("--images", type=int, default=2400, help="how many images are drawn")
    parser.add_argument("--size-px", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, help="processes; one per core if left out")
    parser.add_argument("--scratch", help="folder for the arrays")
    return parser.parse_args()


def _params(arguments: argparse.Namespace) -> Params:
    params = load_params()
    source = str(Path(arguments.source).resolve()) if arguments.source else "synthetic"
    return replace(
        params,
        data=replace(params.data, source=source, sha256=None, synthetic_images=arguments.images),
        pack=replace(params.pack, size_px=arguments.size_px),
        runtime=replace(params.runtime, workers=arguments.workers or available_cores()),
    )


def _print_machine(n_images: int, params: Params) -> None:
    versions = ", ".join(f"{name} {version(name)}" for name in ("pillow", "numpy"))
    print(f"n = {n_images} images to {params.pack.size_px} px, {params.runtime.workers} processes")
    cores = f"{available_cores()} cores ({_processor()})"
    print(f"{cores}, Python {platform.python_version()}, {versions}")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _round(params: Params, layout: Layout) -> Counter[str]:
    """Return the seconds of each part of the limit and of the pipeline."""
    seconds = Counter(_limit(params, layout.raw_archive))
    for name, stage in (("split", split), ("pack", pack)):
        parts: Counter[str] = Counter()
        with _timed(stage, parts):
            start = time.perf_counter()
            stage.run(params, layout)
            seconds[name] = time.perf_counter() - start  # type: ignore[assignment]
        rest = seconds[name] - sum(parts.values())
        seconds.update({f"{name}: {part}": value for part, value in parts.items()})
        seconds[f"{name}: the rest"] = rest  # type: ignore[assignment]
    return seconds


@contextmanager
def _timed(stage: ModuleType, parts: Counter[str]) -> Iterator[None]:
    """Add up how long each function of the pipeline takes that a stage calls."""
    functions = {
        name: value
        for name, value in vars(stage).items()
        if callable(value) and not isinstance(value, type) and _is_ours(value)
    }
    for name, function in functions.items():
        setattr(stage, name, _timing(function, name, parts))
    try:
        yield
    finally:
        for name, function in functions.items():
            setattr(stage, name, function)


def _is_ours(value: Callable[..., Any]) -> bool:
    return getattr(value, "__module__", "").startswith("pipeline.")


def _timing(function: Callable[..., Any], name: str, parts: Counter[str]) -> Callable[..., Any]:
    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            parts[name] += time.perf_counter() - start  # type: ignore[assignment]

    return call


def _limit(params: Params, archive_path: Path) -> dict[str, float]:
    """Return the seconds of the bare loops, those of the slowest process."""
    n_processes = params.runtime.workers or available_cores()
    spec = PreprocessSpec(size_px=params.pack.size_px)
    context = get_context("spawn")
    barrier, answers = context.Barrier(n_processes), context.SimpleQueue()
    processes = [
        context.Process(
            target=_loop, args=(archive_path, share, n_processes, spec, barrier, answers)
        )
        for share in range(n_processes)
    ]
    for process in processes:
        process.start()
    times = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    return {
        "limit of split": max(judging for judging, _ in times),
        "limit of pack": max(packing for _, packing in times),
    }


def _loop(
    archive_path: Path, share: int, of: int, spec: PreprocessSpec, barrier: Any, answers: Any
) -> None:
    """Do one process's share of what split and what pack cannot do without."""
    with RawArchive(archive_path) as archive:
        paths = [member.path for member in archive.members][share::of]
        barrier.wait()
        start = time.perf_counter()
        usable = [path for path in paths if _is_image(archive.read(path))]
        judged = time.perf_counter()
        barrier.wait()
        packing = time.perf_counter()
        for path in usable:
            pixels_from_bytes(archive.read(path), spec)
        answers.put((judged - start, time.perf_counter() - packing))


def _is_image(content: bytes) -> bool:
    try:
        decode(content)
    except ImageError:
        return False
    return True


def _print_rounds(rounds: list[Counter[str]], n_images: int) -> None:
    for name in rounds[0]:
        times = [seconds[name] for seconds in rounds]
        if statistics.median(times) >= SHOWN_FROM_S:
            print(f"{name:36s}{_spread(times)} s")
    totals = {
        "pipeline": [seconds["split"] + seconds["pack"] for seconds in rounds],
        "limit": [seconds["limit of split"] + seconds["limit of pack"] for seconds in rounds],
    }
    rates = {name: [n_images / value for value in times] for name, times in totals.items()}
    for name, values in rates.items():
        print(f"{name + ', both together':36s}{_spread(values)} images/s")
    ratios = [p / limit for p, limit in zip(rates["pipeline"], rates["limit"], strict=True)]
    print(f"{'pipeline of the limit':36s}{_spread([100 * ratio for ratio in ratios])} %")


def _spread(values: list[float]) -> str:
    digits = 0 if statistics.median(values) >= 100 else 2
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:9.{digits}f}  ({low:.{digits}f} to {high:.{digits}f}, n = {len(values)})"


if __name__ == "__main__":
    main()
