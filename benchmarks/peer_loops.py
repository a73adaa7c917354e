"""One loop of `benchmarks.peers` in a process of its own, which prints its figures as JSON.

`speed` trains on a fixed number of images in one thread, loading included, and counts seconds of
CPU. `accuracy` trains for whole epochs and validates on the images under valid/. `lr_find` looks
for a learning rate and counts seconds of CPU.

    python -m benchmarks.peer_loops fastai accuracy --images FOLDER --arch resnet18 --size-px 64
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WARM_UP = 3
"""Batches before the clock starts."""


def main() -> None:
    """Run one loop and print what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("peer", choices=("ours", "fastai", "torchvision"))
    parser.add_argument("what", choices=("speed", "accuracy", "lr_find"))
    parser.add_argument("--images", type=Path, required=True, help="train/CLASS, valid/CLASS")
    parser.add_argument("--packed", type=Path, help="the same images packed, for ours")
    parser.add_argument("--arch", required=True)
    parser.add_argument("--size-px", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--n-images", type=int, default=512, help="for speed")
    parser.add_argument("--epochs", type=int, default=3, help="for accuracy")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak rate of the peers")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", default="", help="changes of params.yaml, for ours")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    loop: Callable[[argparse.Namespace], dict[str, Any]] = globals()[
        f"_{arguments.peer}_{arguments.what}"
    ]
    print(json.dumps(loop(arguments)))


def _clocked(batches: Iterable[Any], step: Callable[[Any], int], n_images: int) -> dict[str, Any]:
    """Return images per CPU second over at least `n_images`, after a warm-up."""
    done, start = 0, 0.0
    for index, batch in enumerate(batches):
        if index == WARM_UP:
            done, start = 0, time.process_time()
        done += step(batch)
        if index > WARM_UP and done >= n_images:
            break
    return {"images_per_cpu_s": done / (time.process_time() - start)}


def _network(arch: str) -> nn.Module:
    """Return the plain network: float images (N, 3, H, W) to logits (N, 2)."""
    if arch == "compact":
        from pipeline.modeling.compact import Compact

        return Compact(2)
    from torchvision import models

    return models.get_model(arch, weights=None, num_classes=2)  # type: ignore[no-any-return]


def _fastai_learner(arguments: argparse.Namespace) -> Any:
    from fastai.vision import all as fv

    fv.set_seed(arguments.seed)
    data = fv.ImageDataLoaders.from_folder(
        arguments.images,
        train="train",
        valid="valid",
        item_tfms=fv.RandomResizedCrop(arguments.size_px, min_scale=0.35)
        if arguments.what != "speed"
        else fv.Resize(arguments.size_px),
        batch_tfms=[fv.Normalize.from_stats(MEAN, STD)],
        bs=arguments.batch_size,
        num_workers=arguments.threads if arguments.what == "accuracy" else 0,
        device="cpu",
    )
    return fv.Learner(data, _network(arguments.arch), metrics=fv.accuracy)


def _fastai_speed(arguments: argparse.Namespace) -> dict[str, Any]:
    learner = _fastai_learner(arguments)
    learner.create_opt()
    learner.model.train()

    def step(batch: Any) -> int:
        images, labels = batch
        learner.loss_func(learner.model(images), labels).backward()
        learner.opt.step()
        learner.opt.zero_grad()
        return len(labels)

    return _clocked(_endless(learner.dls.train), step, arguments.n_images)


def _fastai_accuracy(arguments: argparse.Namespace) -> dict[str, Any]:
    learner = _fastai_learner(arguments)
    start, cpu = time.monotonic(), time.process_time()
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(arguments.epochs, arguments.lr)
    accuracies = [float(values[-1]) for values in learner.recorder.values]
    return _figures(accuracies, start, cpu)


def _fastai_lr_find(arguments: argparse.Namespace) -> dict[str, Any]:
    learner = _fastai_learner(arguments)
    start, cpu = time.monotonic(), time.process_time()
    with learner.no_bar(), learner.no_logging():
        found = learner.lr_find(show_plot=False)
    return {"lr": float(found.valley), **_seconds(start, cpu)}


def _torchvision_loader(arguments: argparse.Namespace) -> Any:
    from torch.utils.data import DataLoader
    from torchvision import transforms as T
    from torchvision.datasets import ImageFolder

    transform = T.Compose(
        [
            T.RandomResizedCrop(arguments.size_px, antialias=True),
            T.RandomHorizontalFlip(),
            T.PILToTensor(),
            T.ConvertImageDtype(torch.float),
            T.Normalize(MEAN, STD),
        ]
    )
    images = ImageFolder(str(arguments.images / "train"), transform)
    return DataLoader(images, batch_size=arguments.batch_size, shuffle=True, drop_last=True)


def _torchvision_speed(arguments: argparse.Namespace) -> dict[str, Any]:
    model = _network(arguments.arch).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step(batch: Any) -> int:
        images, labels = batch
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return len(labels)

    return _clocked(_endless(_torchvision_loader(arguments)), step, arguments.n_images)


def _ours_params(arguments: argparse.Namespace) -> Any:
    from dataclasses import replace

    from benchmarks.frontier import with_changes
    from pipeline.core.params import load_params

    params = load_params()
    changes = f"sizes_px={arguments.size_px};batch_size={arguments.batch_size}"
    text = f"{arguments.epochs}:{changes};{arguments.train}".rstrip(";")
    params = with_changes(params, text, seed=arguments.seed)
    return replace(
        params,
        model=replace(params.model, arch=arguments.arch),
        runtime=replace(params.runtime, threads=arguments.threads),
    )


def _ours_speed(arguments: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.steps import build_stepper
    from pipeline.modeling.augment import Augmentation
    from pipeline.modeling.batches import train_batches
    from pipeline.modeling.device import choose_compute
    from pipeline.packing.packed import read_packed

    params = _ours_params(arguments).train
    compute = choose_compute(device="cpu", threads=arguments.threads, precision="auto")
    packed = read_packed(arguments.packed, workers=1)
    take_step = build_stepper(arguments.arch, params, compute=compute, lr=0.01, seed=arguments.seed)

    def step(batch: Any) -> int:
        pixels, labels = batch
        take_step(pixels, labels)
        return len(labels)

    batches = (
        batch
        for epoch in range(1, 1000)
        for batch in train_batches(
            packed.train,
            batch_size=arguments.batch_size,
            size_px=arguments.size_px,
            augmentation=Augmentation(crop_min_area=params.crop_min_area, flip=params.flip),
            seed=arguments.seed,
            epoch=epoch,
        )
    )
    return _clocked(batches, step, arguments.n_images)


def _ours_accuracy(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.core.artifacts import EpochRecord, read_json, read_records
    from pipeline.core.layout import Layout
    from stages import lr_find, train

    params, layout = _ours_params(arguments), Layout()
    lr_find.run(params, layout)
    start, cpu = time.monotonic(), time.process_time()
    train.run(params, layout)
    history = read_records(layout.history, EpochRecord, stage="train")
    figures = _figures([record.valid_accuracy for record in history], start, cpu)
    return {**figures, "lr": read_json(layout.train_metrics, stage="train")["lr"]}


def _ours_lr_find(arguments: argparse.Namespace) -> dict[str, Any]:
    from pipeline.core.artifacts import read_suggestion
    from pipeline.core.layout import Layout
    from stages import lr_find

    params, layout = _ours_params(arguments), Layout()
    start, cpu = time.monotonic(), time.process_time()
    lr_find.run(params, layout)
    return {"lr": read_suggestion(layout.suggestion).lr, **_seconds(start, cpu)}


def _figures(accuracies: list[float], start: float, cpu: float) -> dict[str, Any]:
    return {"accuracies": accuracies, "accuracy": accuracies[-1], **_seconds(start, cpu)}


def _seconds(start: float, cpu: float) -> dict[str, float]:
    return {"wall_s": time.monotonic() - start, "cpu_s": time.process_time() - cpu}


def _endless(loader: Any) -> Any:
    while True:
        yield from loader


if __name__ == "__main__":
    main()
