"""Serve an exported model over HTTP: POST an image to /predict, or open the page at /."""

import argparse
import sys
import warnings
from pathlib import Path

from pipeline.core.process import available_cores, guarded
from pipeline.inference.arguments import OneLineParser, port_number, whole_number
from pipeline.inference.classifier import OnnxClassifier
from pipeline.inference.providers import CPU, DEVICES
from pipeline.serving.limits import Limits
from pipeline.serving.server import bind, serve
from pipeline.serving.service import Service

NAME = "pipeline.serving"
DETAILS = """\
curl --data-binary @cat.jpg http://127.0.0.1:8000/predict
curl --form image=@cat.jpg http://127.0.0.1:8000/predict

There is no login and no encryption: on an open network put a reverse proxy in front.

exit status: 0 after SIGTERM or Ctrl-C, with every accepted request answered; 1 with one line on
stderr where the model cannot be loaded or the port is taken.
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's values."""
    limits = Limits()
    parser = OneLineParser(
        prog=f"python -m {NAME}",
        description=__doc__,
        epilog=DETAILS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    model = Path("models/model.onnx")
    add("--model", metavar="FILE", type=Path, default=model, help="the .onnx file (%(default)s)")
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s: this machine only)")
    add(
        "--port",
        metavar="N",
        type=port_number,
        default=8000,
        help="0 takes a free one (%(default)s)",
    )
    add(
        "--device",
        choices=DEVICES,
        default="auto",
        help="auto takes CUDA where it works (%(default)s)",
    )
    add(
        "--lanes",
        metavar="N",
        type=whole_number,
        help="batches at once (default: cores; 2 on CUDA)",
    )
    add(
        "--max-batch",
        metavar="N",
        type=whole_number,
        help="images a batch (default: 8; 32 on CUDA)",
    )
    add(
        "--max-body-bytes",
        metavar="N",
        type=whole_number,
        default=limits.body_bytes,
        help="largest request (%(default)s)",
    )
    add(
        "--max-waiting",
        metavar="N",
        type=whole_number,
        default=limits.waiting,
        help="requests in the queue before 503 (%(default)s)",
    )
    return parser.parse_args(argv)


def main(arguments: argparse.Namespace) -> None:
    """Load the model and serve it."""
    # Filters are global: those that `decode` sets around a call do not hold between threads.
    warnings.filterwarnings("ignore", module="PIL")
    limits = Limits(body_bytes=arguments.max_body_bytes, waiting=arguments.max_waiting)
    classifier = OnnxClassifier(arguments.model, device=arguments.device)
    on_cpu = classifier.provider == CPU
    service = Service(
        classifier,
        limits=limits,
        lanes=arguments.lanes or (available_cores() if on_cpu else 2),
        max_batch=arguments.max_batch or (8 if on_cpu else 32),
    )
    with bind(arguments.host, arguments.port, backlog=limits.connections) as listener:
        serve(service, listener)


if __name__ == "__main__":
    parsed = parse()
    sys.exit(guarded(lambda: main(parsed), name=NAME))
