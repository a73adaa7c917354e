"""From the logits of three splits to the figures: calibrate, choose the threshold, measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from pipeline.evaluation.calibration import (
    UNCALIBRATED,
    calibration_figures,
    fit_temperature,
    probabilities,
)
from pipeline.evaluation.interval import Floats, Ints
from pipeline.evaluation.metrics import summarize
from pipeline.evaluation.rejection import choose_threshold, reject_figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The images of a split and what the network says about them."""

    labels: Ints
    """(N,) true class indices in [0, K)."""
    logits: NDArray[Any]
    """(V, N, K) of V views of the images; the first shows them whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A calibrated model's figures."""

    metrics: dict[str, Any]
    """Ready for JSON; docs/evaluation.md says what each means."""
    probs: dict[str, Floats]
    """(N, K) calibrated probabilities by split: those that are served."""
    uncalibrated: Floats
    """(N, K) of the test split at temperature 1."""


def measure(
    splits: Mapping[str, Scored],
    *,
    classes: Sequence[str],
    calibrate: bool,
    reject_risk: float | None,
    reject_coverage: float | None,
    tta: str,
) -> Measured:
    """Fit temperature and threshold on `valid`, and measure on `valid` and `test`.

    Args:
        splits: by name, `valid` and `test` among them.
        classes: K names.
        calibrate: whether to fit the temperature; otherwise it is 1.
        reject_risk: see `choose_threshold`.
        reject_coverage: see `choose_threshold`.
        tta: what the further views of the test images are called; their mean is reported under
            the key `{tta}_tta`.

    Raises:
        DataError: a split has no image, or a logit is not finite.
    """
    valid, test = splits["valid"], splits["test"]
    fitted = fit_temperature(valid.logits[0], valid.labels) if calibrate else UNCALIBRATED
    probs = {
        name: probabilities(split.logits[0], temperature=fitted.value)
        for name, split in splits.items()
    }
    of_valid, of_test = (
        summarize(probs[name], splits[name].labels, classes=classes) for name in ("valid", "test")
    )
    threshold = choose_threshold(
        probs["valid"], valid.labels, risk=reject_risk, coverage=reject_coverage
    )
    uncalibrated = probabilities(test.logits[0], temperature=1.0)
    metrics = {
        **of_test,
        "valid": of_valid,
        "temperature": fitted.value,
        "threshold": threshold,
        "calibration": {
            "status": fitted.status,
            "n_fitted": fitted.n,
            "before": calibration_figures(uncalibrated, test.labels),
            "after": calibration_figures(probs["test"], test.labels),
        },
        "reject": {
            name: reject_figures(probs[name], splits[name].labels, threshold=threshold)
            for name in ("valid", "test")
        },
    }
    if len(test.logits) > 1:
        averaged = probabilities(test.logits, temperature=fitted.value).mean(axis=0)
        metrics[f"{tta}_tta"] = summarize(averaged, test.labels, classes=classes)
    return Measured(metrics=metrics, probs=probs, uncalibrated=uncalibrated)


def in_words(metrics: Mapping[str, Any]) -> list[str]:
    """Return what people should know at once, a line each."""
    before, after = (metrics["calibration"][key] for key in ("before", "after"))
    reject = metrics["reject"]["test"]
    lines = [
        "test accuracy {accuracy:.4f} (95 % interval {accuracy_low:.4f} to {accuracy_high:.4f}, "
        "n = {n})".format_map(metrics),
        f"temperature {metrics['temperature']:.3f} ({metrics['calibration']['status']}): test log "
        f"loss {before['log_loss']:.4f} before, {after['log_loss']:.4f} after, "
        f"calibration error {before['ece']:.4f} before, {after['ece']:.4f} after",
    ]
    if metrics["threshold"] is not None:
        risk = "" if reject["risk"] is None else f", of which {100 * reject['risk']:.2f} % wrong"
        lines.append(
            f"unsure below {metrics['threshold']:.4f}: "
            f"{reject['n_answered']} of {reject['n']} test images answered{risk}"
        )
    return lines
