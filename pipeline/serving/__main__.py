"""Serve an exported model over HTTP: POST an image to /predict, or open the page at /."""

import argparse
import logging
import sys
import warnings
from pathlib import Path

from pipeline.core.arguments import command_parser, port_number, whole_number
from pipeline.core.process import available_cores, guarded
from pipeline.inference.providers import CPU, DEVICES
from pipeline.serving.exchange import access_log
from pipeline.serving.keys import read_keys
from pipeline.serving.limits import Limits
from pipeline.serving.model import load
from pipeline.serving.reload import Watch
from pipeline.serving.server import bind, serve
from pipeline.serving.service import Service
from pipeline.serving.versions import Place

NAME = "pipeline.serving"
WAITING_PER_LANE = 12  # bounds how long an accepted request waits: a dozen images per core
DETAILS = """\
curl --data-binary @cat.jpg http://127.0.0.1:8000/predict
curl --form image=@cat.jpg http://127.0.0.1:8000/predict

There is no encryption, and no login but --api-key-file: on an open network put a reverse proxy in
front. A model that is replaced, or a higher version in the repository's folder, takes over by
itself; SIGHUP looks at once. Access log on stdout, one JSON object a line; the rest on stderr.

exit status: 0 after SIGTERM or Ctrl-C, with every accepted request answered; 1 with one line on
stderr where the model cannot be loaded or the port is taken.
"""


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the command line's values."""
    limits = Limits()
    parser = command_parser(NAME, description=__doc__, details=DETAILS)
    add = parser.add_argument
    model = Path("models/model.onnx")
    add(
        "--model",
        metavar="PATH",
        type=Path,
        default=model,
        help="the .onnx file, or a repository as models/repository (%(default)s)",
    )
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
        help="images decoded, then classified, at once (default: cores)",
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
        help=f"images in work before 503 (default: {WAITING_PER_LANE} per lane; "
        "a batch more per lane on CUDA)",
    )
    add(
        "--keep-alive",
        metavar="S",
        type=whole_number,
        default=int(limits.idle_s),
        help="seconds an idle connection stays open (%(default)s)",
    )
    add("--api-key-file", metavar="FILE", type=Path, help="one accepted API key per line")
    add(
        "--allow-origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="web origin whose pages may ask (CORS; default: none); may be repeated",
    )
    add(
        "--reload-every",
        metavar="S",
        type=whole_number,
        default=2,
        help="seconds between looks for a new version (%(default)s)",
    )
    return parser.parse_args(argv)


def main(arguments: argparse.Namespace) -> None:
    """Load the model and serve it."""
    # Filters are global: those that `decode` sets around a call do not hold between threads.
    warnings.filterwarnings("ignore", module="PIL")
    keys = read_keys(arguments.api_key_file) if arguments.api_key_file else ()
    place = Place(arguments.model)
    version = place.newest()
    model = load(version, device=arguments.device)
    on_cpu = model.classifier.provider == CPU
    lanes = arguments.lanes or available_cores()
    max_batch = arguments.max_batch or (8 if on_cpu else 32)
    waiting_per_lane = WAITING_PER_LANE + (0 if on_cpu else max_batch)
    limits = Limits(
        body_bytes=arguments.max_body_bytes,
        waiting=arguments.max_waiting or waiting_per_lane * lanes,
        idle_s=arguments.keep_alive,
    )
    service = Service(model, limits=limits, lanes=lanes, max_batch=max_batch)
    log_requests()
    with bind(arguments.host, arguments.port, backlog=limits.connections) as listener:
        serve(
            service,
            listener,
            watch=Watch(
                service, place, version, device=arguments.device, every_s=arguments.reload_every
            ),
            keys=keys,
            origins=arguments.allow_origin,
        )


def log_requests() -> None:
    """Send the access log to stdout as it is: one JSON object per line."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    access_log.addHandler(handler)
    access_log.propagate = False
    logging.raiseExceptions = False  # a closed stdout must not stop anybody's answer


if __name__ == "__main__":
    parsed = parse()
    sys.exit(guarded(lambda: main(parsed), name=NAME))
