"""The commands of a document as a shell script, and its run in a repository made for it."""

import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from documents import Command

TIMEOUT_S = 600  # of one document: it may take seconds, but a busy machine is no failure
SERVER = re.compile(r"^python -m pipeline\.serving\b")
PREAMBLE = """\
set -Eeuo pipefail
trap 'status=$?; echo "FAILED ($status): $BASH_COMMAND" >&2' ERR
servers=()
serve() {  # port, command: leave a server running that answers there
  local port=$1; shift
  "$@" --port "$port" > "server-$port.log" 2>&1 &
  servers+=($!)
  for _ in $(seq 600); do
    curl --fail --silent "http://127.0.0.1:$port/v2/health/ready" &> /dev/null && return
    kill -0 "${servers[-1]}" || { cat "server-$port.log"; return 1; }
    sleep 0.1
  done
  return 1
}
end() {
  local status=$?
  for server in "${servers[@]}"; do
    kill -TERM "$server" && wait "$server" || status=$?
  done
  exit $status
}
trap end EXIT
"""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def script_of(commands: list[Command]) -> str:
    """Return a shell script; the first server of a document answers its requests."""
    port = free_port()
    lines = [PREAMBLE]
    n_servers = 0
    for command in commands:
        text = command.text
        if command.language == "python":
            text = f"python - <<'END_OF_PYTHON'\n{text}END_OF_PYTHON"
        elif SERVER.match(text):
            text = re.sub(r"\s+#.*$", "", text).replace("0.0.0.0", "127.0.0.1")
            text = f"serve {port if n_servers == 0 else free_port()} {text}"
            n_servers += 1
        else:
            text = re.sub(r"\b(127\.0\.0\.1|localhost):8000\b", f"127.0.0.1:{port}", text)
        lines.append(text)
    return "\n".join(lines) + "\n"


def run_script(script: str, *, cwd: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """Run a script with every process it starts; end them all where it takes too long."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")}
    (cwd.parent / ".curlrc").write_text("fail\nsilent\nshow-error\n")  # a refusal is a failure
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=cwd,
        env={
            **environment,
            "PATH": f"{path}{os.pathsep}{environment['PATH']}",
            "CURL_HOME": str(cwd.parent),
            "MPLBACKEND": "agg",
        },
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            said, _ = process.communicate()
            pytest.fail(f"longer than {TIMEOUT_S} s:\n{said[-4000:]}")
    return subprocess.CompletedProcess(script, process.returncode, said, None)
