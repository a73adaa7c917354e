"""A finished run made by hand, with what the card reads besides."""

from pathlib import Path

from reported import make_run

from pipeline.card.facts import Facts, read_facts
from pipeline.core.artifacts import SliceRow, write_records
from pipeline.core.atomic import write_bytes, write_json
from pipeline.core.params import CardParams
from pipeline.imaging.spec import ModelSpec, PreprocessSpec

SAID = CardParams(
    title=None,
    author=None,
    contact=None,
    model_licence=None,
    data_licence=None,
    code_licence=None,
    intended_use=None,
    out_of_scope=None,
    probe_images=8,
    seed=0,
)
SHARES = {"n": 8, "n_sure": 6, "sure": 0.75, "sure_low": 0.4093, "sure_high": 0.9285}


def make_facts(
    root: Path,
    classes: tuple[str, ...] = ("cat", "dog"),
    *,
    said: CardParams = SAID,
    sources: tuple[str, ...] = ("photos.zip",),
    slices: tuple[SliceRow, ...] = (),
) -> Facts:
    """Return the facts of a run whose metrics are those of `reported`."""
    layout = make_run(root, classes)
    counts = {"train": 31, "valid": 2, "test": 17}
    write_json(
        layout.data_summary,
        {
            **{"n_images": 100, "n_rejected": 5, "exact_duplicates": 3, "conflicts": 0},
            **{"leaked_pairs": 0, "near_duplicates": {"images": 4}},
            "classes": {name: counts for name in classes},
            "splits": {split: {"n_images": 2 * n} for split, n in counts.items()},
            "rejected": {"duplicate": 3, "truncated": 2},
        },
    )
    write_json(
        layout.export_metrics,
        {
            **{"n": 20, "n_flipped": 0, "max_prob_diff": 1e-6, "accuracy": 0.8181},
            "int8": {"status": "accepted", "accuracy": 0.8, "n": 20},
        },
    )
    write_bytes(layout.onnx_model, b"onnx")
    write_records(layout.slices, slices, SliceRow)
    figures = {**SHARES, "median_confidence": 0.91, "answers": {classes[0]: 5, classes[1]: 3}}
    spec = ModelSpec(
        arch="compact", classes=classes, preprocess=PreprocessSpec(size_px=48), threshold=0.79
    )
    return read_facts(
        layout,
        spec=spec,
        said=said,
        sources=sources,
        weights="none",
        weights_licence=None,
        reject_risk=None,
        reject_coverage=0.95,
        neither={"all": figures, "kinds": {"noise": figures}},
    )
