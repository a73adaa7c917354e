"""The YAML block with which a model card begins, in the fields that model hubs read.

Source: the metadata specification of Hugging Face, `modelcard.md` in huggingface/hub-docs.
"""

import re
from typing import Any

import yaml

from pipeline.card.facts import Facts
from pipeline.card.markdown import one_line

TASK = "image-classification"
HUB_METRICS = {  # name in metrics.json -> type at the hub
    "accuracy": "accuracy",
    "roc_auc": "roc_auc",
    "brier": "brier_score",
    "log_loss": "log_loss",
}
_IDENTIFIER = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")


def front_matter(facts: Facts) -> str:
    """Return the YAML document; its strings are on one line each, whatever people wrote."""
    content = {
        **_licence(facts.said.model_licence),
        "library_name": "onnx",
        "pipeline_tag": TASK,
        "tags": [TASK, "onnx", facts.spec.arch],
        "metrics": ["accuracy", "roc_auc", "brier_score"],
        "model-index": [{"name": one_line(facts.title), "results": [_result(facts)]}],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10_000)


def _licence(said: str | None) -> dict[str, str]:
    """Return the hub's fields: an identifier, or `other` with the licence's name."""
    if said is None:
        return {"license": "unknown"}
    name = one_line(said).lower()
    if _IDENTIFIER.fullmatch(name):
        return {"license": name}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", name).strip("-.")}


def _result(facts: Facts) -> dict[str, Any]:
    return {
        "task": {"type": TASK, "name": "Image classification"},
        "dataset": {
            "type": "imagefolder",
            "name": one_line("; ".join(facts.sources)),
            "split": "test",
            "revision": facts.sha256["data/raw.zip"],
        },
        "metrics": [
            {"type": kind, "name": name, "value": facts.metrics[name]}
            for name, kind in HUB_METRICS.items()
            if facts.metrics[name] is not None
        ],
    }
