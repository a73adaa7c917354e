"""The files that people keep in a project, empty, for the benchmarks that run stages."""

from pathlib import Path

from pipeline.core.layout import Layout


def empty_project(root: Path) -> Layout:
    """Make data/ with tables that say nothing; the images are still to come."""
    layout = Layout(root)
    layout.raw_archive.parent.mkdir(parents=True)
    layout.corrections.write_text("path,action,label\n")
    layout.metadata.write_text("path,split,group\n")
    return layout
