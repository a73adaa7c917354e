"""The lr_find stage as a whole: which sweeps it makes, and what it writes of them."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from jpegs import pack_two_classes

from pipeline.core.artifacts import CurvePoint, SweepPoint, read_records, read_suggestion
from pipeline.core.errors import ParamsError
from pipeline.core.params import load_params
from pipeline.modeling.lr_rules import RULES
from stages.lr_find import run

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def params():
    """The repository's parameters, small and in one thread; SGD's loss explodes for certain."""
    params = load_params(REPOSITORY / "params.yaml")
    return replace(
        params,
        train=replace(params.train, batch_size=8, sizes_px=(24,), optimizer="sgd"),
        lr_find=replace(params.lr_find, max_lr=1000.0, steps_per_doubling=2, sweeps=2),
        runtime=replace(params.runtime, workers=1, threads=1, device="cpu"),
    )


@pytest.fixture
def layout(tmp_path):
    return pack_two_classes(tmp_path, per_class=20)


def sweeps_of(layout, part="whole"):
    """Return the rates of each sweep, by number."""
    return {k: [point.lr for point in points] for k, points in points_of(layout, part).items()}


def points_of(layout, part="whole"):
    found = {}
    for point in read_records(layout.lr_sweeps, SweepPoint, stage="lr_find"):
        if point.part == part:
            found.setdefault(point.sweep, []).append(point)
    return found


def ratios(rates):
    return [after / before for before, after in pairwise(rates)]


def test_one_sweep_doubles_over_the_whole_range_and_the_others_begin_near_its_edge(params, layout):
    run(params, layout)
    coarse, *fine = sweeps_of(layout).values()
    assert sorted(sweeps_of(layout)) == [0, 1, 2]
    assert coarse[0] == 1e-4
    assert ratios(coarse) == pytest.approx([2.0] * (len(coarse) - 1), rel=1e-4)
    for rates in fine:
        assert coarse[0] < rates[0] == fine[0][0] < coarse[-1]
        assert ratios(rates) == pytest.approx([2**0.5] * (len(rates) - 1), rel=1e-4)
    curve = read_records(layout.lr_curve, CurvePoint, stage="lr_find")
    assert [point.lr for point in curve] == pytest.approx(max(fine, key=len), rel=1e-4)

    rules = json.loads(layout.lr_rules.read_text())["whole"]
    assert set(rules["rules"]) == set(RULES)
    assert len(rules["edges"]) == 2
    suggestion = read_suggestion(layout.suggestion)
    assert suggestion.status == rules["status"]
    assert suggestion.lr == (rules["rules"]["edge"] if rules["status"] == "ok" else 0.05)
    assert suggestion.head_lr is None


@pytest.mark.parametrize(("rule", "optimizer"), [("minimum", "sgd"), ("edge", "adamw")])
def test_for_a_rule_of_the_field_and_for_adamw_every_sweep_goes_over_the_whole_range(
    params, layout, rule, optimizer
):
    params = replace(params, train=replace(params.train, optimizer=optimizer))
    run(replace(params, lr_find=replace(params.lr_find, rule=rule)), layout)
    assert {number: rates[0] for number, rates in sweeps_of(layout).items()} == {1: 1e-4, 2: 1e-4}


def test_the_head_alone_is_swept_for_itself(params, layout):
    run(replace(params, train=replace(params.train, freeze_epochs=1)), layout)
    head, whole = points_of(layout, "head"), points_of(layout)
    assert sorted(head) == sorted(whole) == [0, 1, 2]
    # Frozen, the body is in evaluation mode: another loss from the first step on.
    assert head[0][0].loss != whole[0][0].loss
    assert len({point.loss for point, *_ in whole.values()}) == 3  # each has a seed of its own
    assert read_suggestion(layout.suggestion).head_lr is not None


def test_two_runs_write_the_same_bytes_and_another_seed_does_not(params, layout):
    def written(seed):
        run(replace(params, lr_find=replace(params.lr_find, seed=seed)), layout)
        files = (layout.lr_sweeps, layout.lr_curve, layout.lr_rules, layout.suggestion)
        return [path.read_bytes() for path in files]

    first = written(1)
    assert written(1) == first
    assert written(2)[0] != first[0]


def test_parts_of_a_batch_are_those_of_the_training(params, layout):
    run(params, layout)
    whole = points_of(layout)
    run(replace(params, train=replace(params.train, accumulate=2)), layout)
    parts = points_of(layout)
    # Batch norm sees a part: another loss from the first step on, and much the same.
    assert parts[1][0].loss != whole[1][0].loss
    assert parts[1][0].loss == pytest.approx(whole[1][0].loss, abs=0.2)


def test_the_model_that_the_training_makes_is_no_start_for_it(params, layout):
    params = replace(params, model=replace(params.model, weights=str(layout.model)))
    with pytest.raises(ParamsError, match=r"model\.weights: .*DVC removes.*: cp "):
        run(params, layout)
