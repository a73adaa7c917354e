"""Copies of the project with parameters that take seconds."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TINY = {
    "data.synthetic_images": "150",
    "pack.size_px": "48",
    "lr_find.steps_per_doubling": "1",
    "lr_find.sweeps": "1",
    "train.epochs": "2",
    "train.batch_size": "16",
    "train.sizes_px": "[32, 48]",
    "evaluate.reject_coverage": "0.5",
    "export_onnx.parity_images": "20",
    "export_onnx.int8_max_accuracy_drop": "0.5",
    "report.images_per_panel": "4",
    "card.probe_images": "20",
}
"""The whole pipeline in seconds; far too little to learn well."""


def with_values(text: str, values: dict[str, str]) -> str:
    """Set `section.key` values in the text of params.yaml, leaving all else as it is."""
    for dotted, value in values.items():
        section, key = dotted.split(".")
        pattern = rf"(?ms)^({section}:\n.*?^  {key}: )[^\n]*"
        text, count = re.subn(pattern, lambda m, v=value: m[1] + v, text, count=1)
        assert count == 1, dotted
    return text


def project_files() -> list[str]:
    """Return the files of the project as they are in the working tree, made ones left out."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout.decode()
    made = re.compile(r"reports/.*\.json|dvc\.lock")  # committed results of the project's own run
    names = [name for name in listing.split("\0") if name and not made.fullmatch(name)]
    return [name for name in names if (REPOSITORY / name).is_file()]


def copy_project(target: Path, *, values: dict[str, str] = TINY) -> Path:
    """Copy the project into `target`, its parameters changed."""
    for name in project_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((REPOSITORY / name).read_bytes())
    params = target / "params.yaml"
    params.write_text(with_values(params.read_text(), values))
    return target


@dataclass
class Recorded:
    """What one stage did."""

    read: set[str]
    left: set[str]


@dataclass
class TinyRun:
    """A copy of the project in which stages are run one after the other."""

    root: Path
    recorder: Path
    done: dict[str, Recorded] = field(default_factory=dict)

    def run_recorded(self, name: str) -> Recorded:
        """Run a stage once; say which files it opened for reading, and which it made."""
        if name not in self.done:
            before = self._files()
            record = self.recorder.with_name(f"{name}.json")
            subprocess.run(
                [sys.executable, str(self.recorder), f"stages.{name}"],
                cwd=self.root,
                env={**os.environ, "RECORD": str(record), "DVC_ROOT": str(self.root)},
                check=True,
            )
            read = set(json.loads(record.read_text()))
            left = {p for p in self._files() - before if "__pycache__" not in p}
            self.done[name] = Recorded(read, left)
        return self.done[name]

    def _files(self) -> set[str]:
        return {str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()}


RECORDER = """\
import json, os, runpy, sys
root, read = os.getcwd(), set()
sys.path[0] = root
def record(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        path, mode, flags = os.path.abspath(os.fsdecode(args[0])), args[1], args[2]
        writes = set(mode) & set("wax+") if mode else flags & (os.O_WRONLY | os.O_RDWR)
        if path.startswith(root + os.sep) and not writes and not os.path.isdir(path):
            read.add(os.path.relpath(path, root))
sys.addaudithook(record)
try:
    runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
except SystemExit as stopped:
    with open(os.environ["RECORD"], "w") as file:
        json.dump(sorted(read), file)
    raise
"""
