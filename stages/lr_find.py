"""Find the learning rate: start tiny, keep doubling, stop when the loss explodes.

Reads   data/packed
Writes  reports/lr_find/suggestion.json, reports/lr_find/curve.csv, reports/lr_find/sweeps.csv,
        reports/lr_find/rules.json
Params  lr_find, model, train.batch_size, train.accumulate, train.optimizer, train.weight_decay,
        train.lr_factors, train.freeze_epochs, train.sizes_px, train.label_smoothing,
        train.precision and the augmentation: train.crop_min_area, flip, jitter, erasing, mixup,
        cutmix
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.core.artifacts import CurvePoint, SweepPoint, write_records, write_suggestion
from pipeline.core.atomic import write_json
from pipeline.core.errors import ParamsError
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.modeling.augment import Augmentation
from pipeline.modeling.device import Compute, choose_compute
from pipeline.modeling.lr_finder import Floats, range_test, sweep
from pipeline.modeling.lr_rules import EDGE_TO_PEAK, EXPLODING, RangeTest, Verdict, judge
from pipeline.modeling.optimizers import default_lr
from pipeline.modeling.zoo import initial_model
from pipeline.packing.packed import Packed, read_packed

log = logging.getLogger(__name__)
WHOLE, HEAD = "whole", "head"


def run(params: Params, layout: Layout) -> None:
    _refuse_own_model(params.model.weights, layout)
    packed = read_packed(layout.packed, workers=params.runtime.workers or available_cores())
    compute = choose_compute(
        device=params.runtime.device,
        threads=params.runtime.threads,
        precision=params.train.precision,
    )
    verdicts, tests = {}, {}
    for part in (WHOLE, HEAD) if params.train.freeze_epochs else (WHOLE,):
        tests[part] = range_test(
            partial(_sweep, params, packed, compute, part),
            min_lr=params.lr_find.min_lr,
            max_lr=params.lr_find.max_lr,
            steps_per_doubling=params.lr_find.steps_per_doubling,
            n_sweeps=params.lr_find.sweeps,
            near_edge=params.lr_find.rule == "edge" and params.train.optimizer in EXPLODING,
        )
        verdicts[part] = _verdict(tests[part], params, part=part)
    _write(layout, tests, verdicts)
    for part, verdict in verdicts.items():
        log.info(
            "%s: suggested learning rate %g, %s: %s",
            *(part, verdict.suggestion.lr, verdict.suggestion.status, verdict.reason),
        )


def _refuse_own_model(weights: str, layout: Layout) -> None:
    """Raise ParamsError if the training is to start from the file that it makes."""
    if Path(weights).resolve() == layout.model.resolve():
        raise ParamsError(
            f"model.weights: found {weights}, which DVC removes before a training; "
            f"copy it and name the copy: cp {layout.model} models/start.pt"
        )


def _sweep(
    params: Params, packed: Packed, compute: Compute, part: str, number: int, rates: Floats
) -> Floats:
    """Run one sweep of a network with weights, batches and augmentation of its own seed."""
    seed = params.lr_find.seed + number
    model = initial_model(
        params.model.arch,
        n_classes=len(packed.classes),
        weights=params.model.weights,
        seed=seed,
        train=packed.train,
        preprocess=packed.preprocess,
    )
    title = f"lr_find, {part}, " + (f"sweep {number}" if number else "coarse sweep")
    with Progress(title, total=len(rates), unit="steps") as progress:
        return sweep(
            model.to(compute.device),
            packed.train,
            rates=rates,
            optimizer_name=params.train.optimizer,
            weight_decay=params.train.weight_decay,
            batch_size=params.train.batch_size,
            parts=params.train.accumulate,
            size_px=params.train.sizes_px[0],
            augmentation=Augmentation(
                crop_min_area=params.train.crop_min_area,
                flip=params.train.flip,
                jitter=params.train.jitter,
                erasing=params.train.erasing,
                mixup=params.train.mixup,
                cutmix=params.train.cutmix,
            ),
            label_smoothing=params.train.label_smoothing,
            stop_factor=params.lr_find.stop_factor,
            seed=seed,
            compute=compute,
            head_alone=part == HEAD,
            lr_factors=params.train.lr_factors,
            n_classes=len(packed.classes),
            on_step=progress.advance,
        )


def _verdict(test: RangeTest, params: Params, *, part: str) -> Verdict:
    pretrained = params.model.weights != "none"
    return judge(
        test,
        rule=params.lr_find.rule,
        edge_to_peak=EDGE_TO_PEAK[params.train.optimizer],
        default_lr=default_lr(
            params.train.optimizer,
            arch=params.model.arch,
            pretrained=pretrained and part == WHOLE,
        ),
    )


def _write(layout: Layout, tests: dict[str, RangeTest], verdicts: dict[str, Verdict]) -> None:
    points = [
        SweepPoint(part=part, sweep=number, lr=float(lr), loss=float(loss))
        for part, test in tests.items()
        for number, rates, losses in _numbered(test)
        for lr, loss in zip(rates, losses, strict=False)
    ]
    write_records(layout.lr_sweeps, points, SweepPoint)
    write_records(layout.lr_curve, verdicts[WHOLE].curve, CurvePoint)
    write_json(
        layout.lr_rules,
        {
            part: {
                "status": verdict.suggestion.status,
                "reason": verdict.reason,
                "rules": {name: _rounded(lr) for name, lr in verdict.rules.items()},
                "edges": [_rounded(edge) for edge in verdict.edges],
                "coarse_edge": _rounded(verdict.coarse_edge),
            }
            for part, verdict in verdicts.items()
        },
    )
    suggestion = verdicts[WHOLE].suggestion
    if HEAD in verdicts:
        head = verdicts[HEAD].suggestion
        suggestion = replace(suggestion, head_lr=head.lr, head_status=head.status)
    write_suggestion(layout.suggestion, suggestion)


def _numbered(test: RangeTest) -> Iterator[tuple[int, Floats, Floats]]:
    """Yield number, rates and losses of each sweep; the coarse one, if there is one, is 0."""
    if len(test.coarse):
        yield 0, test.coarse_rates, test.coarse
    for number, losses in enumerate(test.sweeps, start=1):
        yield number, test.rates, losses


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else float(f"{rate:.2g}")


if __name__ == "__main__":
    run_stage(run)
