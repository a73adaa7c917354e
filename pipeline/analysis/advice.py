"""What the curve of the range test says, in the words of the lesson."""

from pipeline.core.artifacts import Suggestion

STATUS_WORDS = {
    "ok": "The loss falls, then explodes. The suggested rate is as high as a whole training "
    "endures, taken from where the explosion begins.",
    "flat": "The loss never exploded, so the curve has no edge to measure from; the suggested rate "
    "is the optimizer's default. Let the sweep end at a higher rate.",
    "diverged": "The loss rose from the start, so the curve has no answer; the suggested rate is "
    "the optimizer's default. Start the sweep at a lower rate.",
    "noisy": "The sweeps exploded at rates far apart, so none of them can be believed; the "
    "suggested rate is the optimizer's default. Run more sweeps.",
}


def describe_suggestion(suggestion: Suggestion) -> str:
    """Return one or two sentences on how the suggested rate came about."""
    return STATUS_WORDS.get(suggestion.status, f"The range test ended with: {suggestion.status}.")
