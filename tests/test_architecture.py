"""Modules import only from lower floors, and what must be free of torch is."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

FLOORS = {
    "core": 0,
    "imaging": 1,
    "sources": 2,
    "data": 2,
    "packing": 2,
    "pretrained": 2,
    "inference": 2,
    "verify": 2,
    "serving": 3,
    "recipes": 3,
    "modeling": 3,
    "evaluation": 4,
    "insight": 4,
    "analysis": 5,
    "experiments": 3,
    "export": 5,
    "card": 5,
}
WITHOUT_TORCH = (
    "core",
    "imaging",
    "sources",
    "data",
    "packing",
    "pretrained",
    "inference",
    "recipes",
    "serving",
    "verify",
)
HEAVY = ("torch", "torchvision", "sklearn", "matplotlib", "dvc")
MODULES = sorted(p for p in Path("pipeline").rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Return the sub-packages of `pipeline` that a module imports, at any depth of its code."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("pipeline.")}


def test_every_sub_package_has_a_floor():
    folders = {p.name for p in Path("pipeline").iterdir() if (p / "__init__.py").is_file()}
    assert folders == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_only_from_lower_floors(path):
    if path.parent == Path("pipeline"):
        assert imports_of(path) == set()
        return
    own = path.parts[1]
    above = {name for name in imports_of(path) if name != own and FLOORS[name] >= FLOORS[own]}
    assert above == set()


def test_the_two_packages_hold_nothing_that_a_result_depends_on():
    # So that dvc.yaml need not list them.
    (statement,) = ast.parse(Path("stages/__init__.py").read_text()).body
    assert isinstance(statement, ast.Expr)
    said, imported, setting = ast.parse(Path("pipeline/__init__.py").read_text()).body
    assert isinstance(said, ast.Expr)
    assert ast.unparse(imported) == "import os"
    assert ast.unparse(setting).startswith("os.environ.setdefault('GOMP_SPINCOUNT', ")


LOADS = """\
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("torch, spins:", os.environ.get("GOMP_SPINCOUNT"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
"""


@pytest.mark.parametrize("stage", ["lr_find", "train", "evaluate", "export_onnx", "report"])
@pytest.mark.parametrize("own", [None, "77"])
def test_how_long_idle_threads_spin_is_said_before_torch_is_loaded(stage, own):
    environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
    run = subprocess.run(
        [sys.executable, "-c", f"{LOADS}import stages.{stage}"],
        env=environment | ({"GOMP_SPINCOUNT": own} if own else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == f"torch, spins: {own or 1000}\n"


def test_what_serves_and_prepares_is_free_of_torch():
    modules = [
        ".".join(path.with_suffix("").parts)
        for path in MODULES
        if path.parts[1] in WITHOUT_TORCH and path.name != "__main__.py"
    ]
    code = (
        f"import sys\nfor name in {modules!r}: __import__(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_training_our_own_network_does_not_wait_for_torchvision():
    code = (
        "import sys; from pipeline.modeling.zoo import build_model; build_model('compact', "
        "n_classes=2); print('torchvision' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_the_repository_names_no_index_host_and_no_machine_path():
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "--index" + "-url http")
    for name in tracked.stdout.splitlines():
        if Path(name).suffix in {".png", ".lock"} or not Path(name).is_file():
            continue
        text = Path(name).read_text(encoding="utf-8")
        assert not any(host in text for host in hosts), name
        assert "/work" + "/" not in text, name
