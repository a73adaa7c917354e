"""Train small networks alone and in a group of two, and print the losses of every step as JSON.

    PYTHONPATH=.:tests python tests/group_curves.py '{"name": {"arch": "resnet18", "double": true}}'

A process of its own, which imports torch once and forks the two before anything else.
"""

import dataclasses
import json
import os
import socket
import sys
from typing import Any

import torch
from modeling_sets import RECIPE, make_split

from pipeline.modeling.device import Compute
from pipeline.modeling.fit import Fitting
from pipeline.modeling.group import Group
from pipeline.modeling.launch import joined_group
from pipeline.modeling.sync_norm import synchronized
from pipeline.modeling.zoo import build_model, fit_to_data

CPU = torch.device("cpu")
SIZE_PX, N_TRAIN, N_VALID = 16, 66, 21


def curves(variants: dict[str, dict]) -> dict[str, dict]:
    """Return, for each variant, the running mean loss at each step and the history's losses."""
    torch.set_num_threads(1)
    plain, found = torch.Tensor.float, {}
    with joined_group(device="cpu") as group:
        for name, changes in variants.items():
            double = changes.get("double", False)
            # What the pipeline casts to fp32 is double then, so that rounding cannot hide anything.
            torch.Tensor.float = torch.Tensor.double if double else plain
            found[name] = curve(**{"arch": "compact", "double": False} | changes, group=group)
    return found


def curve(*, arch: str, double: bool, group: Group, **changes: Any) -> dict[str, Any]:
    """Train a small network."""
    train = make_split(N_TRAIN, size_px=SIZE_PX)
    valid = make_split(N_VALID, size_px=SIZE_PX, seed=1)
    model = build_model(arch, n_classes=2, seed=0)
    fit_to_data(model, train)
    model = synchronized(model.double() if double else model, group, device=CPU)
    recipe = dataclasses.replace(RECIPE, sizes_px=(SIZE_PX,), **changes)
    compute = Compute(device=CPU, bf16=False)
    fitting = Fitting(model, train, valid, recipe, compute=compute, n_classes=2, group=group)
    losses: list[float] = []
    records = list(fitting.run(lambda n: losses.append(fitting.mean_loss()) if n else None))
    return {
        "steps": losses,
        "epochs": [[r.train_loss, r.valid_loss, r.valid_accuracy] for r in records],
        "weights": float(sum(w.double().square().sum() for w in fitting.best.values())),
    }


def main() -> None:
    """Fork two processes, be the one that is alone, print what all found."""
    variants = json.loads(sys.argv[1])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    pipes = []
    for rank in range(2):
        ours, theirs = os.pipe()
        if os.fork() == 0:
            os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_PORT": port}
            os.environ["MASTER_ADDR"] = "127.0.0.1"
            os.write(theirs, json.dumps(curves(variants)).encode())
            os._exit(0)
        os.close(theirs)
        pipes.append(os.fdopen(ours))
    alone = curves(variants)
    print(json.dumps({"alone": alone, "group": [json.loads(pipe.read()) for pipe in pipes]}))


if __name__ == "__main__":
    main()
