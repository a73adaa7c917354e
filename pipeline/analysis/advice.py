"""What the curve of the range test says."""

from pipeline.core.artifacts import Suggestion


def describe_suggestion(suggestion: Suggestion, reason: str) -> str:
    """Return one or two sentences on how the suggested rate came about.

    Args:
        suggestion: what lr_find suggests.
        reason: why the verdict is what it is, in the words of `pipeline.modeling.lr_rules`.
    """
    if suggestion.status == "ok":
        end = "The rate was read off this curve by the rule of lr_find.rule."
    else:
        end = "So the suggested rate is the default of optimizer and architecture."
    return f"What was seen: {reason}. {end}"
