"""Three formats, one table."""

import csv
import io
import json
import math
from pathlib import Path

import pytest

from pipeline.core.errors import ArtifactError, InstallationError
from pipeline.inference import table as module
from pipeline.inference.batch import Result
from pipeline.inference.table import Columns, choose_format, write_table

ODD = (
    "new\nline",
    'quote"comma,',
    "return\rhere",
    "caf\u00e9",
    "cafe\u0301",
    "\udcff\udcfe",
    "=cmd",
    "\\xff",
    " ",
)
ROWS = [
    Result(name, "", i % 2, i == 0, (0.125, 0.875)[:: 1 if i % 2 else -1])
    for i, name in enumerate(ODD)
]
ROWS.append(Result("bad", "truncated"))
COLUMNS = Columns(("cat", "dog"), unsure=True)


def written(kind: str, columns: Columns = COLUMNS) -> bytes:
    file = io.BytesIO()
    counted = write_table(file, kind, columns, iter(ROWS))
    assert counted == {"": len(ODD), "truncated": 1}
    return file.getvalue()


def test_csv_gives_every_name_and_number_back() -> None:
    text = written("csv").decode("utf-8", "surrogateescape")
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert header == ["path", "label", "confidence", "unsure", "prob_cat", "prob_dog", "reason"]
    assert [row[0] for row in rows] == [*ODD, "bad"]
    assert rows[0][1:] == ["cat", "0.875000", "true", "0.875000", "0.125000", ""]
    assert rows[1][1:] == ["dog", "0.875000", "false", "0.125000", "0.875000", ""]
    assert rows[-1][1:] == ["", "", "", "", "", "truncated"]


def test_json_lines_hold_the_same() -> None:
    lines = written("jsonl").decode("ascii").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["path"] for row in rows] == [*ODD, "bad"]
    assert rows[1] == {
        **{"path": 'quote"comma,', "label": "dog", "confidence": 0.875, "unsure": False},
        **{"prob_cat": 0.125, "prob_dog": 0.875, "reason": None},
    }
    assert set(rows[-1].values()) == {"bad", None, "truncated"}


def test_parquet_holds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(module, "ROWS_PER_GROUP", 4)
    rows = parquet.read_table(io.BytesIO(written("parquet"))).to_pylist()
    assert parquet.ParquetFile(io.BytesIO(written("parquet"))).num_row_groups == 3
    for row, line in zip(rows, written("jsonl").decode().splitlines(), strict=True):
        raw, path = row.pop("path_bytes"), row["path"]
        name = path if raw is None else raw.decode("utf-8", "surrogateescape")
        assert {**row, "path": name} == json.loads(line)
        assert (raw is not None) == ("\udcff" in name)


def test_a_model_without_threshold_has_no_unsure_column() -> None:
    header = written("csv", Columns(("cat", "dog"), unsure=False)).partition(b"\n")[0]
    assert header == b"path,label,confidence,prob_cat,prob_dog,reason"


def test_the_format_follows_from_the_suffix(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_format(None, None) == "csv"
    assert choose_format(Path("x.CSV"), None) == "csv"
    assert choose_format(Path("x.ndjson"), None) == "jsonl"
    assert choose_format(Path("x.dat"), "jsonl") == "jsonl"
    with pytest.raises(ArtifactError, match=r"x\.dat: unknown suffix; expected \.csv"):
        choose_format(Path("x.dat"), None)
    with pytest.raises(ArtifactError, match="give --out"):
        choose_format(None, "parquet")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InstallationError, match="pip install pyarrow"):
        choose_format(Path("x.parquet"), None)


def test_numbers_have_six_digits_as_in_predictions() -> None:
    file = io.BytesIO()
    write_table(
        file, "csv", COLUMNS, [Result("a", "", 0, False, (round(2 / 3, 6), round(1 / 3, 6)))]
    )
    assert b"0.666667,false,0.666667,0.333333" in file.getvalue()
    assert math.isclose(2 / 3, 0.666667, abs_tol=5e-7)
