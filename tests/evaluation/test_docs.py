"""docs/evaluation.md names the files, figures and commands that there are."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.layout import Layout
from pipeline.evaluation import compare
from pipeline.evaluation.measure import Scored, measure

TEXT = Path("docs/evaluation.md").read_text()
COMMANDS = re.findall(rf"^python -m {re.escape(compare.NAME)} (.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_is_understood(command):
    assert compare.parse(shlex.split(command)).old


def test_the_page_shows_commands():
    assert len(COMMANDS) == 3


def test_every_file_of_the_stage_is_described():
    layout = Layout()
    for path in (
        *(layout.metrics, layout.predictions, layout.valid_predictions, layout.train_predictions),
        *(layout.reliability, layout.risk_coverage, layout.slices, layout.roc),
    ):
        assert f"| `{path.name}` |" in TEXT


def test_every_figure_is_described():
    rng = np.random.default_rng(0)
    split = Scored(labels=np.arange(30) % 2, logits=rng.normal(size=(2, 30, 2)))
    found = measure(
        {"valid": split, "test": split},
        classes=("a", "b"),
        calibrate=True,
        reject_risk=None,
        reject_coverage=0.9,
        tta="flip",
    ).metrics
    for key in (*found, *found["per_class"]["a"], *found["calibration"]):
        assert f"`{key}`" in TEXT, key


def test_help_says_what_the_exit_status_means(capsys):
    with pytest.raises(SystemExit) as left:
        compare.parse(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert "exit status: 0 whatever the verdict, 1 if they cannot be compared" in text
    assert "examples:" in text
