"""Images per second of batch prediction, beside the bare loop that is its limit; and its memory.

    python -m benchmarks.batch_prediction --model models/model.onnx --source ARCHIVE.zip
    python -m benchmarks.batch_prediction --model models/model.onnx --memory

The limit, `benchmarks.bare_loop`, is what any program has to do that uses the same decoder and the
same session: as many processes, each reading, decoding, scaling and classifying its share of the
archive in batches of the same size. It writes nothing, keeps no order and stops at nothing. Both
are whole commands, with the time that they take to start; they take turns in every round. CPU time
tells more than the wall clock where other programs run. Without --source the images are drawn.

--memory classifies a folder of files and a zip archive at 1, 4 and 16 times as many images.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from benchmarks.bare_loop import members
from benchmarks.memory import MB, Sampler
from pipeline.core.process import available_cores
from pipeline.sources.synthetic import synthetic_images

TIMES = (1, 4, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, default=Path("models/model.onnx"))
    parser.add_argument("--source", type=Path, help="a zip archive; drawn images if left out")
    parser.add_argument("--images", type=int, default=2400, help="how many are drawn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.memory:
            _print_memory(arguments, Path(folder))
            return
        source = arguments.source or _drawn(Path(folder) / "drawn.zip", arguments.images, times=1)
        _print_speed(arguments, source, Path(folder) / "out.csv")


def _drawn(path: Path, n_images: int, *, times: int) -> Path:
    images, _ = synthetic_images(n_images, seed=0, workers=available_cores())
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(times):
            for name, content in images:
                archive.writestr(f"{number:02d}-{name}", content)
    return path


def _print_speed(arguments: argparse.Namespace, source: Path, out: Path) -> None:
    with zipfile.ZipFile(source) as archive:
        n_images = len(members(archive))
    print(f"{n_images} images, {arguments.workers} processes, batches of {arguments.batch_size}")
    options = ["--batch-size", str(arguments.batch_size), "--workers", str(arguments.workers)]
    limit = [sys.executable, "-m", "benchmarks.bare_loop", *options]
    limit += ["--model", str(arguments.model), "--source", str(source)]
    command = [sys.executable, "-m", "pipeline.inference", str(arguments.model), str(source)]
    command += ["--out", str(out), "--device", "cpu", *options]
    commands = {"limit": limit, "batch prediction": command}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name, words in commands.items():
            found[name].append(_seconds(words))
    for name, times in found.items():
        rates = [n_images / wall for wall, _ in times]
        per_image = [1000 * cpu / n_images for _, cpu in times]
        print(f"{name:18s}{_spread(rates)} images/s {_spread(per_image)} CPU-ms per image")
    for number, clock in enumerate(("wall clock", "CPU time")):
        pairs = zip(*found.values(), strict=True)
        ratios = [100 * limit[number] / ours[number] for limit, ours in pairs]
        print(f"of the limit, by {clock:12s}{_spread(ratios)} %")


def _seconds(words: list[str]) -> tuple[float, float]:
    """Run a command; return its wall-clock time and the CPU time of all its processes."""
    start = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu


def _spread(values: list[float]) -> str:
    middle = statistics.median(values)
    return f"{middle:8.1f}  ({min(values):.1f} to {max(values):.1f}, n = {len(values)})"


def _print_memory(arguments: argparse.Namespace, folder: Path) -> None:
    print("source    times   images   PSS sum  no file   largest process (MB)")
    for times in TIMES:
        archive = _drawn(folder / f"{times}.zip", arguments.images, times=times)
        files = folder / f"{times}"
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(files)
        for name, source in (("folder", files), ("zip", archive)):
            sampler = _watched(arguments, source, folder / "out.csv")
            numbers = (sampler.pss, sampler.anonymous, sampler.largest)
            shown = "".join(f"{number / MB:9.1f}" for number in numbers)
            print(f"{name:8s} {times:5d}x {arguments.images * times:8d} {shown}", flush=True)


def _watched(arguments: argparse.Namespace, source: Path, out: Path) -> Sampler:
    command = [sys.executable, "-m", "pipeline.inference", str(arguments.model), str(source)]
    command += ["--out", str(out), "--device", "cpu", "--workers", str(arguments.workers)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    sampler = Sampler(process.pid)
    sampler.start()
    status = process.wait()
    sampler.ended.set()
    sampler.join()
    assert status == 0
    return sampler


if __name__ == "__main__":
    main()
