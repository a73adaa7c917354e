"""The lesson as a notebook: docs/lesson1.md is the source, notebooks/lesson1.ipynb derives from it.

    python -m scripts.lesson                 # write notebooks/lesson1.ipynb
    python -m scripts.lesson --run FOLDER    # run it; text, output and pictures go to FOLDER

A block of Python in the page becomes a cell of code, everything between two of them one of text.
"""

import argparse
import base64
import re
import sys
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "docs/lesson1.md"
NOTEBOOK = ROOT / "notebooks/lesson1.ipynb"
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CELL_TIMEOUT_S = 600
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def to_notebook(page: str) -> Any:
    """Return the notebook of a page of Markdown; the same page gives the same bytes."""
    cells = []
    for index, part in enumerate(CODE.split(page)):  # text, code, text, code, ..., text
        if not part.strip():
            continue
        new = nbformat.v4.new_code_cell if index % 2 else nbformat.v4.new_markdown_cell
        cells.append(new(part.strip(), id=f"cell-{index:02d}"))
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})


def to_text(notebook: Any) -> str:
    """Return the bytes of an .ipynb file as text."""
    return str(nbformat.writes(notebook, version=4, indent=1, ensure_ascii=False)) + "\n"


def run(notebook: Any, *, folder: Path) -> Any:
    """Run the notebook in a fresh kernel that starts in `folder`, and return it with its outputs.

    Raises:
        CellExecutionError: a cell failed; it holds the traceback.
    """
    from nbclient import NotebookClient

    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=CELL_TIMEOUT_S, resources=resources).execute()


def write_page(notebook: Any, folder: Path) -> Path:
    """Write a notebook with its outputs as Markdown with its pictures beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for cell in notebook.cells:
        text = cell.source
        parts.append(f"```python\n{text}\n```" if cell.cell_type == "code" else text)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{len(list(folder.glob('picture-*.png'))) + 1:02d}"
                (folder / f"picture-{name}.png").write_bytes(base64.b64decode(data["image/png"]))
                parts.append(f"![picture {name}](picture-{name}.png)")
            elif said := output.get("text", data.get("text/plain", "")):
                parts.append(f"```\n{said.rstrip()}\n```")
    path = folder / "lesson1.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def main() -> None:
    """Write the notebook, or run it."""
    parser = argparse.ArgumentParser(description="The lesson as a notebook.")
    parser.add_argument("--run", type=Path, metavar="FOLDER", help="run it and write it there")
    arguments = parser.parse_args()
    notebook = to_notebook(SOURCE.read_text(encoding="utf-8"))
    if arguments.run is None:
        NOTEBOOK.write_text(to_text(notebook), encoding="utf-8")
        print(f"lesson: wrote {NOTEBOOK.relative_to(ROOT)}")
        return
    if arguments.run.exists() and any(arguments.run.iterdir()):
        sys.exit(f"lesson: error: {arguments.run} is not empty; name a new folder")
    print(f"lesson: wrote {write_page(run(notebook, folder=ROOT), arguments.run)}")


if __name__ == "__main__":
    main()
