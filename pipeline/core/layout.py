"""Where every artifact lies, relative to the repository root."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one run; the names are a contract with users and with dvc.yaml."""

    root: Path = Path()

    @property
    def raw_archive(self) -> Path:
        """The original bytes of every image: a stored zip, `class/name.ext`."""
        return self.root / "data/raw.zip"

    @property
    def corrections(self) -> Path:
        """What people say about single images; kept in Git."""
        return self.root / "data/corrections.csv"

    @property
    def metadata(self) -> Path:
        """What people know about single images: split, group and more; kept in Git."""
        return self.root / "data/metadata.csv"

    @property
    def split(self) -> Path:
        """One row per usable image."""
        return self.root / "data/split.csv"

    @property
    def rejected(self) -> Path:
        """One row per image refused or set aside."""
        return self.root / "data/rejected.csv"

    @property
    def packed(self) -> Path:
        """Folder of `{train,valid,test}.npy` and `spec.json`."""
        return self.root / "data/packed"

    @property
    def data_summary(self) -> Path:
        """Counts per class, split and rejection reason."""
        return self.root / "reports/data/summary.json"

    @property
    def suggestion(self) -> Path:
        """The learning rate that lr_find suggests."""
        return self.root / "reports/lr_find/suggestion.json"

    @property
    def lr_curve(self) -> Path:
        """Loss against learning rate."""
        return self.root / "reports/lr_find/curve.csv"

    @property
    def lr_sweeps(self) -> Path:
        """Every step of every sweep, as measured."""
        return self.root / "reports/lr_find/sweeps.csv"

    @property
    def lr_rules(self) -> Path:
        """The verdict in words, and what each rule says."""
        return self.root / "reports/lr_find/rules.json"

    @property
    def model(self) -> Path:
        """Weights and ModelSpec of the trained network."""
        return self.root / "models/model.pt"

    @property
    def history(self) -> Path:
        """One row per epoch."""
        return self.root / "reports/train/history.csv"

    @property
    def train_metrics(self) -> Path:
        """What the last training came to."""
        return self.root / "reports/train/metrics.json"

    @property
    def predictions(self) -> Path:
        """One row per test image."""
        return self.root / "reports/evaluate/predictions.csv"

    @property
    def valid_predictions(self) -> Path:
        """One row per validation image."""
        return self.root / "reports/evaluate/predictions_valid.csv"

    @property
    def train_predictions(self) -> Path:
        """One row per training image, in-sample: plain images that the network has learnt from."""
        return self.root / "reports/evaluate/predictions_train.csv"

    @property
    def reliability(self) -> Path:
        """Confidence against accuracy on the test split, before and after calibration."""
        return self.root / "reports/evaluate/reliability.csv"

    @property
    def risk_coverage(self) -> Path:
        """What each threshold would do on the test split."""
        return self.root / "reports/evaluate/risk_coverage.csv"

    @property
    def slices(self) -> Path:
        """Accuracy on parts of the test split."""
        return self.root / "reports/evaluate/slices.csv"

    @property
    def roc(self) -> Path:
        """The ROC curve on the test split."""
        return self.root / "reports/evaluate/roc.csv"

    @property
    def metrics(self) -> Path:
        """Accuracy and the other figures of the test split."""
        return self.root / "reports/evaluate/metrics.json"

    @property
    def onnx_model(self) -> Path:
        """The model that is served."""
        return self.root / "models/model.onnx"

    @property
    def preprocess_model(self) -> Path:
        """The preprocessing as a graph, for clients without Pillow."""
        return self.root / "models/preprocess.onnx"

    @property
    def int8(self) -> Path:
        """Folder of the quantised model, if it passed, and of what its gate found."""
        return self.root / "models/int8"

    @property
    def golden(self) -> Path:
        """Folder of images with the probabilities that every client must get."""
        return self.root / "models/golden"

    @property
    def export_metrics(self) -> Path:
        """How far the exported models are from the checkpoint."""
        return self.root / "reports/export_onnx/metrics.json"

    @property
    def repository(self) -> Path:
        """The model in the layout that inference servers read."""
        return self.root / "models/repository"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.root / "reports/index.html"

    @property
    def model_card(self) -> Path:
        """What whoever gets the model should know."""
        return self.root / "models/MODEL_CARD.md"

    @property
    def card_metrics(self) -> Path:
        """What the exported model says to pictures of none of its classes."""
        return self.root / "reports/card/metrics.json"
