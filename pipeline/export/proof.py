"""Exporters tried one after the other until one gives a file that passes the gate."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.core.errors import ExportError
from pipeline.export.onnx_file import EXPORTERS
from pipeline.export.parity import Parity

log = logging.getLogger(__name__)

AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proved:
    """A model file that passed, and how it came to be."""

    content: bytes
    exporter: str
    parity: Parity
    failed: dict[str, str]
    """Exporters that were tried before, and what was wrong."""


def prove_one(
    exporter: str,
    *,
    export: Callable[..., bytes],
    check: Callable[[bytes], Parity],
) -> Proved:
    """Return the first export that passes.

    Args:
        exporter: one of `EXPORTERS`, or `auto` for all of them in that order.
        export: makes the file by the `exporter` that it is given.
        check: the gate; raises ExportError.

    Raises:
        ExportError: none passes; the message is that of each.
    """
    failed: dict[str, str] = {}
    names: Sequence[str] = EXPORTERS if exporter == AUTO else (exporter,)
    for name in names:
        try:
            content = export(exporter=name)
            parity = check(content)
        except ExportError as error:
            failed[name] = str(error)
            if len(names) > 1:
                log.warning("exporter %s: %s", name, error)
            continue
        return Proved(content=content, exporter=name, parity=parity, failed=failed)
    raise ExportError("; ".join(f"exporter {name}: {text}" for name, text in failed.items()))
