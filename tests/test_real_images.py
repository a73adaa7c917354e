"""Real photographs through the first stages, where they are at hand."""

import csv
from pathlib import Path

import pytest
from tiny import TINY, copy_project, with_values

from pipeline.core.layout import Layout
from pipeline.core.params import load_params
from pipeline.packing.packed import read_packed
from stages import download, pack, split

ARCHIVE = Path("../shared/data/dogs-vs-cats-original.zip").resolve()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not ARCHIVE.is_file(), reason="the 400 real photographs are not here"),
]


def test_kaggles_layout_is_read_scanned_and_packed(tmp_path, monkeypatch):
    root = copy_project(tmp_path / "p", values={**TINY, "data.source": str(ARCHIVE)})
    monkeypatch.chdir(root)
    params, layout = load_params(), Layout()
    for stage in (download, split, pack):
        stage.run(params, layout)
    with layout.split.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["label"] for row in rows} == {"cat", "dog"}
    assert len(rows) + len(layout.rejected.read_text().splitlines()) - 1 == 400
    assert all(row["source"].startswith("train/") for row in rows)
    packed = read_packed(layout.packed)
    assert sum(len(s) for s in (packed.train, packed.valid, packed.test)) == len(rows)
    assert 20 < packed.train.pixels.mean() < 235


def test_values_are_set_by_name(tmp_path):
    text = Path("params.yaml").read_text()
    changed = tmp_path / "params.yaml"
    changed.write_text(with_values(text, {"train.epochs": "3", "pack.size_px": "64"}))
    params = load_params(changed)
    assert (params.train.epochs, params.pack.size_px) == (3, 64)
