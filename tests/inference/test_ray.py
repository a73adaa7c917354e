"""The example for a Ray cluster, on a local one of two workers."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed"),
]


def test_two_workers_give_the_rows_of_batch_prediction(
    save: Callable[..., Path], build: Callable[..., Any], tmp_path: Path, draw: Callable[..., bytes]
) -> None:
    import pyarrow.parquet

    images, table, out = tmp_path / "images", tmp_path / "one.csv", tmp_path / "out"
    images.mkdir()
    model_path = save(build(threshold=0.9))  # 0.909 for one colour, less for a mixture
    for i in range(40):
        (images / f"{i:02d}.png").write_bytes(draw((6 * i, 90, i)) if i % 9 else b"bad")
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": "local"}
    subprocess.run(
        [sys.executable, "-m", "examples.ray_batch", str(model_path), str(images), str(out)],
        env=environment,
        check=True,
        timeout=280,
    )
    subprocess.run(
        [
            *(sys.executable, "-m", "pipeline.inference", str(model_path)),
            *(str(images), "--out", str(table)),
        ],
        check=True,
    )
    found = pyarrow.parquet.read_table(out).sort_by("path").to_pylist()
    with table.open(newline="") as file:
        expected = list(csv.DictReader(file))
    assert [Path(row["path"]).name for row in found] == [f"{i:02d}.png" for i in range(40)]
    assert set(found[0]) == set(expected[0])
    assert {line["unsure"] for line in expected} == {"true", "false", ""}
    for row, line in zip(found, expected, strict=True):
        assert (row["label"], row["reason"]) == (line["label"], line["reason"])
        assert row["unsure"] == (line["unsure"] == "true")
        if not row["reason"]:
            for name in ("prob_blue", "prob_green", "prob_red", "confidence"):
                assert row[name] == pytest.approx(float(line[name]), abs=1e-6)
