"""What is said about the curve of the range test."""

import pytest

from pipeline.analysis.advice import describe_suggestion
from pipeline.core.artifacts import Suggestion


@pytest.mark.parametrize("status", ["ok", "flat", "diverged", "noisy", "never heard of"])
def test_every_status_has_words(status: str) -> None:
    words = describe_suggestion(Suggestion(lr=0.1, status=status), "the loss rose")
    assert words.endswith(".")
    assert "the loss rose" in words
    assert ("default" in words) == (status != "ok")
