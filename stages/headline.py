"""Print where the results lie and the headline figures; no stage, the last line of `make repro`."""

from pipeline.core.artifacts import read_json
from pipeline.core.layout import Layout
from pipeline.core.params import load_params
from pipeline.core.process import guarded
from pipeline.core.seen import warn_of_changes, warn_of_weights


def main() -> None:
    """Read metrics.json and print it for people; warn of a source or weights that changed since."""
    layout = Layout()
    metrics = read_json(layout.metrics, stage="evaluate")
    print(
        f"\ntest accuracy {metrics['accuracy']:.4f}  "
        f"(95 % interval {metrics['accuracy_low']:.4f} to {metrics['accuracy_high']:.4f}, "
        f"n = {metrics['n']}), log loss {metrics['log_loss']:.4f}"
    )
    print(f"report  {layout.report}")
    print(f"model   {layout.onnx_model}   (serve it: make serve)", flush=True)
    params = load_params()
    warn_of_changes(params.data.sha256)
    warn_of_weights(params.model.weights)


if __name__ == "__main__":
    raise SystemExit(guarded(main, name="headline"))
