"""Projects in a temporary folder, for the benchmarks that run stages."""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.layout import Layout
from pipeline.core.params import Params, load_params
from stages import download, pack, split

LISTS = ("sizes_px", "lr_factors")


def empty_project(root: Path) -> Layout:
    """Make data/ with tables that say nothing; the images are still to come."""
    layout = Layout(root)
    layout.raw_archive.parent.mkdir(parents=True)
    layout.corrections.write_text("path,action,label\n")
    layout.metadata.write_text("path,split,group\n")
    return layout


@contextmanager
def packed_project(params: Params) -> Iterator[Layout]:
    """Yield a project after download, split and pack; its folder is the working directory."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # the stages' records of what they saw belong here
        layout = empty_project(Path(folder))
        for stage in (download, split, pack):
            stage.run(params, layout)
        yield layout


def with_source(params: Params, source: str) -> Params:
    """Take the images from `synthetic`, or from the path of an archive or folder."""
    path = source if source == "synthetic" else str(Path(source).resolve())
    return replace(params, data=replace(params.data, source=path, sha256=None))


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Let the user choose images, network, optimizer and size; see `params_of_network`."""
    parser.add_argument("--source", default="synthetic", help="an archive or folder")
    parser.add_argument("--arch", default="compact")
    parser.add_argument("--optimizer", default="muon", choices=("muon", "sgd", "adamw"))
    parser.add_argument("--size-px", type=int, default=48)
    parser.add_argument("--threads", type=int, default=1)


def params_of_network(arguments: argparse.Namespace) -> Params:
    """Return params.yaml with what the user chose, trained at one size throughout."""
    params = with_source(load_params(), arguments.source)
    return replace(
        params,
        pack=replace(params.pack, size_px=round(1.25 * arguments.size_px)),
        model=replace(params.model, arch=arguments.arch),
        train=replace(params.train, optimizer=arguments.optimizer, sizes_px=(arguments.size_px,)),
        runtime=replace(params.runtime, threads=arguments.threads),
    )


def read_changes(text: str, section: type, *, name: str) -> dict[str, Any]:
    """Read `NAME=VALUE;NAME=VALUE`, changes of the section `name` of params.yaml."""
    known = {field.name for field in fields(section)}
    changes: dict[str, Any] = {}
    for change in filter(None, text.split(";")):
        key, _, value = change.partition("=")
        if key not in known:
            raise SystemExit(f"{key}: not in the section {name} of params.yaml")
        parsed = yaml.safe_load(f"[{value}]")
        changes[key] = tuple(parsed) if key in LISTS else parsed[0]
    return changes
