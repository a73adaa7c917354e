"""What is said about the curve of the range test."""

import pytest

from pipeline.analysis.advice import describe_suggestion
from pipeline.core.artifacts import Suggestion


@pytest.mark.parametrize("status", ["ok", "flat", "diverged", "noisy", "never heard of"])
def test_every_status_has_words(status: str) -> None:
    assert describe_suggestion(Suggestion(lr=0.1, status=status)).endswith(".")
