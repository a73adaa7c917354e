"""The processes that train one network together; a training by itself is a group of one."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from pipeline.core.errors import PipelineError


class PeerLost(PipelineError):
    """Another process of the group has ended; its own error says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """This process among those of a training. In a group of one nothing is sent.

    All processes of a group must call the methods that send in the same order.
    """

    rank: int = 0
    """Number of this process, from 0; that one writes."""
    size: int = 1
    """Processes on all machines."""
    local_size: int = 1
    """Processes on this machine."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def rows_of(self, n_rows: int) -> slice:
        """Return this process's part of `n_rows` rows; the parts differ by at most one row."""
        return slice(n_rows * self.rank // self.size, n_rows * (self.rank + 1) // self.size)

    def threads(self, wanted: int | None, *, cores: int) -> int:
        """Return the threads of this process: those wanted, or its share of the cores."""
        return wanted or max(1, cores // self.local_size)

    def add_up(self, tensor: Tensor) -> None:
        """Replace the values by their sums over all processes.

        Raises:
            PeerLost: a process of the group has ended; so do the others that send.
        """
        if self.size > 1:
            with _peers():
                dist.all_reduce(tensor)

    def largest(self, number: int) -> int:
        """Return the largest of the numbers that the processes call this with."""
        if self.size == 1:
            return number
        found = torch.tensor(number)  # on the CPU: this does not wait for the GPU
        with _peers():
            dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return int(found)

    def shared(self, state: dict[str, Any] | None, *, device: torch.device | str = "cpu") -> Any:
        """Return what the first process calls this with; the others' argument plays no part.

        Args:
            state: tensors, numbers and text, as in a checkpoint; None is shared too.
            device: where its tensors go.
        """
        if self.size == 1:
            return state
        content = _packed(state) if self.first else torch.zeros(0, dtype=torch.uint8)
        n_bytes = torch.tensor(len(content))
        with _peers():
            dist.broadcast(n_bytes, 0)
            if not self.first:
                content = torch.empty(int(n_bytes), dtype=torch.uint8)
            if len(content):
                dist.broadcast(content, 0)
        if self.first or not len(content):
            return state if self.first else None
        buffer = io.BytesIO(content.numpy().tobytes())
        return torch.load(buffer, map_location=device, weights_only=True)


ALONE = Group()


def _packed(state: dict[str, Any] | None) -> Tensor:
    """Return the bytes of a state, none for None."""
    if state is None:
        return torch.zeros(0, dtype=torch.uint8)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)


@contextmanager
def _peers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # what torch raises for a closed connection
        detail = " ".join(str(error).split())[:200]
        raise PeerLost(f"another process of the training has ended ({detail})") from error
