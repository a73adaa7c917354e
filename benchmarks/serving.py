"""Serve a model under load, beside the plain loop that is its limit, and beside LitServe.

python -m benchmarks.serving [--model FILE] [--images FOLDER] [--seconds 8] [--connections 16]
                             [--rounds 3] [--litserve]

The limit is one thread per core that decodes, preprocesses and asks the session, one image at a
time, with no HTTP at all. Everything runs on the same cores in turns, `rounds` times; medians are
shown. The generator of the load is a process of its own and takes CPU from the server, so two
figures are given: requests per second as seen, and CPU milliseconds per request of the server's
processes alone (user and system time, /proc). The share of the limit is the limit's CPU per image
divided by the server's: what the cores would do if the load came from another machine.
"""

import argparse
import importlib.util
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from pipeline.core.process import available_cores
from pipeline.inference.classifier import OnnxClassifier

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """What a generator saw."""

    latencies_ms: list[float]
    """Of answers 200."""
    statuses: dict[int, int]
    seconds: float

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return (
            ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
        )


def request_bytes(image: bytes, form: bool) -> bytes:
    """Return a whole HTTP request; it is made once, so that sending it costs the least CPU."""
    kind, body = b"application/octet-stream", image
    if form:
        head = b'--bb\r\nContent-Disposition: form-data; name="request"; filename="a.jpg"\r\n'
        body = head + b"Content-Type: image/jpeg\r\n\r\n" + image + b"\r\n--bb--\r\n"
        kind = b"multipart/form-data; boundary=bb"
    return (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
        % (
            kind,
            len(body),
            body,
        )
    )


class Connection:
    """One keep-alive connection that sends the next request when its answer is there."""

    def __init__(self, address: tuple[str, int], selector: selectors.BaseSelector) -> None:
        self._address, self._selector = address, selector
        self._socket: socket.socket | None = None
        self.started = 0.0
        self._answer = b""

    def send(self, request: bytes) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(self._address)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(self._socket, selectors.EVENT_READ, self)
        self._answer, self.started = b"", time.perf_counter()
        self._socket.sendall(request)

    def read(self) -> int | None:
        """Return the status once the answer is whole; -1 where the server hung up."""
        assert self._socket is not None
        try:
            part = self._socket.recv(2**16)
        except ConnectionError:
            part = b""
        self._answer += part
        head, found, body = self._answer.partition(b"\r\n\r\n")
        lowered = head.lower()
        if found:
            at = lowered.find(b"content-length:")
            length = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(body) >= length:
                if b"connection: close" in lowered:
                    self.close()
                return int(head[9:12])
        if not part:
            self.close()
            return -1
        return None

    def close(self) -> None:
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None


def generate(
    port: int, images: list[bytes], connections: int, seconds: float, *, form: bool = False
) -> Load:
    """Keep `connections` requests in flight; a refused one is tried again after a pause."""
    requests = [request_bytes(image, form) for image in images]
    selector = selectors.DefaultSelector()
    everyone = [Connection(("127.0.0.1", port), selector) for _ in range(connections)]
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    paused: deque[tuple[float, Connection]] = deque()
    n_sent = 0
    start = time.perf_counter()
    for connection in everyone:
        connection.send(requests[n_sent % len(requests)])
        n_sent += 1
    while (now := time.perf_counter()) < start + seconds:
        while paused and paused[0][0] <= now:
            paused.popleft()[1].send(requests[n_sent % len(requests)])
            n_sent += 1
        for key, _ in selector.select(0.01):
            connection = key.data
            status = connection.read()
            if status is None:
                continue
            statuses[status] = statuses.get(status, 0) + 1
            done = time.perf_counter()
            if status == 200:
                latencies.append((done - connection.started) * 1000)
                connection.send(requests[n_sent % len(requests)])
                n_sent += 1
            else:
                paused.append((done + 0.1, connection))
    for connection in everyone:
        connection.close()
    return Load(latencies, statuses, time.perf_counter() - start)


def generate_apart(*arguments: object, **options: object) -> Load:
    """Generate the load in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(generate, arguments, options)  # type: ignore[arg-type]


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and of all below it."""
    total, waiting = 0.0, [pid]
    while waiting:
        current = waiting.pop()
        try:
            fields = Path(f"/proc/{current}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
            for task in Path(f"/proc/{current}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except FileNotFoundError:
            continue
    return total


@contextmanager
def running(command: list[str], port: int) -> Iterator[int]:
    """Start a server; yield its process id once it answers."""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionError:
                    if time.monotonic() > deadline or process.poll() is not None:
                        raise
                    time.sleep(0.1)
            time.sleep(1)
            yield process.pid
        finally:
            os.killpg(process.pid, 9)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def limit(model: Path, images: list[bytes], seconds: float) -> tuple[float, float]:
    """Return images per second and CPU ms per image of the plain loop."""
    classifier = OnnxClassifier(model, device="cpu")
    counts: list[int] = []

    def loop() -> None:
        n = 0
        while time.perf_counter() < end:
            classifier.predict_bytes([images[n % len(images)]])
            n += 1
        counts.append(n)

    classifier.predict_bytes(images[:1])
    start, cpu = time.perf_counter(), time.process_time()
    end = start + seconds
    threads = [threading.Thread(target=loop) for _ in range(available_cores())]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used, n = time.process_time() - cpu, sum(counts)
    return n / (time.perf_counter() - start), used * 1000 / n


LITSERVE = """
import sys
from pathlib import Path
import litserve
from pipeline.inference.classifier import OnnxClassifier

class Api(litserve.LitAPI):
    def setup(self, device):
        self.classifier = OnnxClassifier(Path(sys.argv[1]), device="cpu")
    def decode_request(self, request):
        return self.classifier.pixels(request["request"].file.read())
    def predict(self, pixels):
        if pixels.ndim == 4:  # a batch
            return self.classifier.predict(pixels)
        return self.classifier.predict(pixels[None])[0]
    def encode_response(self, probs):
        names = self.classifier.spec.classes
        return {"probabilities": dict(zip(names, map(float, probs)))}

if __name__ == "__main__":
    batch = int(sys.argv[3])
    api = Api(max_batch_size=batch, batch_timeout=0.001 if batch > 1 else 0)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=int(sys.argv[4]))
    port = int(sys.argv[2])
    server.run(host="127.0.0.1", port=port, log_level="error", generate_client_file=False)
"""


@dataclass(frozen=True)
class Row:
    """One server in one round."""

    name: str
    per_second: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    idle_cores: float


def measure(
    name: str,
    command: list[str],
    port: int,
    images: list[bytes],
    connections: int,
    seconds: float,
    *,
    form: bool = False,
) -> Row:
    """Warm a server up, load it, then let it idle."""
    with running(command, port) as pid:
        generate_apart(port, images, connections, 2.0, form=form)
        before = cpu_seconds(pid)
        load = generate_apart(port, images, connections, seconds, form=form)
        used = cpu_seconds(pid) - before
        assert set(load.statuses) <= {200}, load.statuses
        time.sleep(2)
        before = cpu_seconds(pid)
        time.sleep(5)
        idle = (cpu_seconds(pid) - before) / 5
    n = len(load.latencies_ms)
    return Row(
        name,
        load.per_second,
        used * 1000 / n,
        load.percentile_ms(0.5),
        load.percentile_ms(0.99),
        idle,
    )


def overload(command: list[str], port: int, images: list[bytes], connections: int) -> None:
    """Say what five times the connections do to those who get in, and how soon it is over."""
    with running(command, port):
        generate_apart(port, images, connections, 2.0)
        normal = generate_apart(port, images, connections, 6.0)
        crowd = generate_apart(port, images, 5 * connections, 6.0)
        after = generate_apart(port, images, connections, 2.0)
    normal_ms, crowd_ms = normal.percentile_ms(0.99), crowd.percentile_ms(0.99)
    print(
        f"overload: p99 of accepted {crowd_ms:.0f} ms against {normal_ms:.0f} ms, ratio "
        f"{crowd_ms / normal_ms:.2f}; answers {crowd.statuses}; "
        f"the 2 s after it: p99 {after.percentile_ms(0.99):.0f} ms, answers {after.statuses}"
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=Path("models/model.onnx"))
    parser.add_argument("--images", type=Path, help="a folder; default: members of data/raw.zip")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--litserve", action="store_true", help="needs: pip install litserve")
    return parser.parse_args()


def read_images(folder: Path | None) -> list[bytes]:
    if folder is not None:
        return [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()][:64]
    with zipfile.ZipFile("data/raw.zip") as archive:
        return [archive.read(name) for name in archive.namelist()[:64]]


def main() -> None:
    arguments = parse()
    images = read_images(arguments.images)
    python, model = sys.executable, str(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "lit.py")
        script.write_text(LITSERVE)
        os.environ["PYTHONPATH"] = str(Path.cwd())
        commands = {
            "ours": lambda p: [python, "-m", "pipeline.serving", "--model", model, "--port", p]
        }
        if arguments.litserve:
            if importlib.util.find_spec("litserve") is None:
                sys.exit("run: pip install litserve")
            workers = str(available_cores())
            commands["litserve, b=1"] = lambda p: [python, str(script), model, p, "1", workers]
            commands["litserve, b=8"] = lambda p: [python, str(script), model, p, "8", workers]
        limits, rows = [], []
        for _ in range(arguments.rounds):
            limits.append(limit(arguments.model, images, arguments.seconds))
            for name, command in commands.items():
                port = free_port()
                rows.append(
                    measure(
                        name,
                        command(str(port)),
                        port,
                        images,
                        arguments.connections,
                        arguments.seconds,
                        form=name != "ours",
                    )
                )
        show(limits, rows, len(images))
        port = free_port()
        overload(commands["ours"](str(port)), port, images, arguments.connections)


def show(limits: list[tuple[float, float]], rows: list[Row], n_images: int) -> None:
    median = statistics.median
    limit_rps, limit_cpu = median(r for r, _ in limits), median(c for _, c in limits)
    print(f"{n_images} images, medians of {len(limits)} rounds, {available_cores()} cores")
    print("| | req/s seen | CPU ms/req | of the limit | p50 ms | p99 ms | idle cores |")
    print("|---|---|---|---|---|---|---|")
    print(f"| plain loop (limit) | {limit_rps:.0f} | {limit_cpu:.2f} | 100 % | | | |")
    for name in dict.fromkeys(row.name for row in rows):
        mine = [row for row in rows if row.name == name]
        cpu = median(row.cpu_ms for row in mine)
        print(
            f"| {name} | {median(row.per_second for row in mine):.0f} | {cpu:.2f} | "
            f"{limit_cpu / cpu:.0%} | {median(row.p50_ms for row in mine):.0f} | "
            f"{median(row.p99_ms for row in mine):.0f} | "
            f"{median(row.idle_cores for row in mine):.3f} |"
        )


if __name__ == "__main__":
    main()
