"""Fetch an archive over HTTP into a partial file that a killed or cut download resumes."""

import logging
import netrc
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from pipeline.core.errors import DataError
from pipeline.core.progress import Progress
from pipeline.sources.locations import Remote
from pipeline.sources.partials import (
    append,
    discard,
    find_partial,
    locked,
    partial_path,
    remove_partials,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """How patient a download is."""

    tries: int = 5
    backoff_s: float = 1.0
    """Pause before the second try; it doubles with every further one."""
    max_backoff_s: float = 30.0
    timeout_s: float = 20.0
    """Longest wait for a connection, and for the next bytes."""
    min_bytes_per_s: float = 100.0
    """A server that is slower, over `timeout_s`, is taken for one that hangs."""
    patience_s: float = 60.0
    """No further try begins when nothing has come for as long."""
    max_redirects: int = 10


POLICY = FetchPolicy()
SIZE = "[0-9]{1,18}"
"""How a header says a number of bytes; what is longer is no size of a file."""
# UnicodeError: a host whose name cannot be written in ASCII.
NO_ADDRESS = (
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
    UnicodeError,
)


class _Transient(Exception):
    """A failure that another try may not meet; `wait_s` is what the server asked for."""

    def __init__(self, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def fetch(remote: Remote, folder: Path, *, max_bytes: int, policy: FetchPolicy = POLICY) -> Path:
    """Return the path of the fetched file, in `folder`, whole but not yet checked by content.

    It has a name that `remove_partials` knows. A file that an earlier run left is continued where
    the server still has the same version; one that is already whole is not asked for again.

    Raises:
        DataError: the server refuses, or fails `policy.tries` times, or sends another size.
        ArtifactError: the folder cannot be written.
    """
    if remote.has_password:
        log.warning(
            "data.source holds a password, which dvc.lock records; ~/.netrc is the safer place"
        )
    with _client(remote, policy) as client:
        download = _Download(client, remote, folder, max_bytes, policy)
        for number in range(1, policy.tries + 1):
            try:
                return download.attempt()
            except _Transient as error:
                pause_s = max(error.wait_s, policy.backoff_s * 2 ** (number - 1))
                pause_s = min(pause_s, policy.max_backoff_s)
                idle_s = time.monotonic() - download.last_bytes_s
                if number == policy.tries or idle_s + pause_s > policy.patience_s:
                    raise DataError(
                        f"{remote.name}: cannot be fetched, {number} tries, the last one: {error}; "
                        "run again to go on where it stopped"
                    ) from error
                log.warning("%s: %s; trying again in %.0f s", remote.name, error, pause_s)
                time.sleep(pause_s)
    raise AssertionError("the last try returns or raises")


class _Download:
    """One archive on its way; every attempt goes on from the partial file."""

    def __init__(
        self,
        client: httpx.Client,
        remote: Remote,
        folder: Path,
        max_bytes: int,
        policy: FetchPolicy,
    ) -> None:
        self._client, self._remote, self._folder = client, remote, folder
        self._max_bytes = remote.size_bytes or max_bytes
        self._policy = policy
        self.last_bytes_s = time.monotonic()
        """When something came at last."""

    def attempt(self) -> Path:
        """Ask once for what is missing; return the whole file or raise _Transient."""
        partial = find_partial(self._folder, self._remote.url)
        done = partial.stat().st_size if partial else 0
        if partial and done == self._remote.size_bytes:
            return partial
        headers = {"Accept-Encoding": "identity"}  # the bytes as they are, whose checksum we know
        if done:
            headers["Range"] = f"bytes={done}-"
        try:
            with self._response(headers) as response:
                return self._receive(response, partial, done)
        except NO_ADDRESS as error:
            raise DataError(
                f"{self._remote.name}: this URL, or where it redirects to, is no http(s) address"
            ) from error
        except httpx.TransportError as error:
            raise _Transient(_brief(error)) from error

    @contextmanager
    def _response(self, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """Yield the response at the end of the redirects."""
        request = self._client.build_request("GET", self._remote.url, headers=headers)
        for _ in range(self._policy.max_redirects + 1):
            response = self._client.send(request, stream=True, follow_redirects=False)
            try:
                if response.next_request is None:
                    yield response
                    return
            finally:
                response.close()
            request = response.next_request
            if request.url.scheme not in ("http", "https"):
                raise DataError(
                    f"{self._remote.name}: redirects to {request.url.scheme}://, which is refused"
                )
        raise DataError(f"{self._remote.name}: more than {self._policy.max_redirects} redirects")

    def _receive(self, response: httpx.Response, partial: Path | None, done: int) -> Path:
        """Store a response's body."""
        status = response.status_code
        start, total = _content_range(response)
        expected = self._remote.size_bytes
        if expected and total not in (None, expected) and status in (200, 206, 416):
            remove_partials(self._folder, url=self._remote.url)
            raise DataError(
                f"{self._remote.name}: the server offers {total} bytes, expected {expected}"
            )
        path = partial_path(self._folder, self._remote.url, _version(response, total))
        unsaid = not {"etag", "last-modified"} & set(response.headers)
        if status == 416 and partial and total == done and (partial == path or unsaid):
            return partial  # nothing is missing
        if status == 206 and partial == path and start == done:
            self._append(response, path, done, total)
            return path
        if partial and (status in (206, 416) or (status == 200 and partial != path)):
            discard(partial)  # another version, or one that cannot be resumed
        if status == 200:
            self._append(response, path, 0, total)
            return path
        if status in (206, 408, 416, 425, 429) or status >= 500:
            raise _Transient(f"HTTP {status}", wait_s=_retry_after_s(response))
        raise DataError(
            f"{self._remote.name}: HTTP {status} {response.reason_phrase}; check data.source"
        )

    def _append(self, response: httpx.Response, path: Path, done: int, total: int | None) -> None:
        """Write the body behind the `done` bytes that are there."""
        name, expected = self._remote.name, self._remote.size_bytes
        with (
            locked(path, name) as file,
            Progress("download", total=total or expected, unit="B") as progress,
        ):
            file.truncate(done)
            progress.advance(done)
            pace = _Pace(self._policy)
            for chunk in response.iter_raw():
                append(file, chunk, path)
                done += len(chunk)
                progress.advance(len(chunk))
                self.last_bytes_s = pace.count(len(chunk))
                if done > self._max_bytes:
                    path.unlink(missing_ok=True)
                    cure = "run again" if expected else "if it is meant, raise data.max_total_bytes"
                    raise DataError(f"{name}: refused: more than {self._max_bytes} bytes; {cure}")
        if done != (total if total is not None else expected or done):
            raise _Transient(f"{done} bytes came, expected {total or expected}")


class _Pace:
    """Notices a server that sends a byte now and then, so that no wait is ever too long."""

    def __init__(self, policy: FetchPolicy) -> None:
        self._policy = policy
        self._start_s, self._bytes = time.monotonic(), 0

    def count(self, n_bytes: int) -> float:
        """Count what came; return the time, or raise _Transient."""
        now_s = time.monotonic()
        self._bytes += n_bytes
        past_s = now_s - self._start_s
        if past_s >= self._policy.timeout_s:
            if self._bytes < self._policy.min_bytes_per_s * past_s:
                raise _Transient(f"only {self._bytes} bytes in {past_s:.0f} s")
            self._start_s, self._bytes = now_s, 0
        return now_s


@contextmanager
def _client(remote: Remote, policy: FetchPolicy) -> Iterator[httpx.Client]:
    try:
        # httpx itself takes user and password from the URL, and forgets them on another host.
        client = httpx.Client(
            timeout=policy.timeout_s, auth=None if remote.has_password else _netrc()
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        why = f": {error}" if isinstance(error, ImportError) else ""  # others may show a password
        raise DataError(
            "the proxy or certificate settings of the environment cannot be used "
            f"(HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE){why}"
        ) from error
    with client:
        yield client


def _netrc() -> httpx.Auth | None:
    try:
        return httpx.NetRCAuth()
    except (OSError, netrc.NetrcParseError):  # none, or not a netrc file
        return None


def _content_range(response: httpx.Response) -> tuple[int, int | None]:
    """Return where the body begins in the file and how large the whole file is, if known."""
    pattern = rf"bytes (?:({SIZE})-[0-9]+|\*)/({SIZE}|\*)"
    if response.status_code in (206, 416):
        found = re.fullmatch(pattern, response.headers.get("content-range", ""))
        if not found:
            return -1, None
        start, total = found.groups()
        return int(start or -1), None if total == "*" else int(total)
    length = response.headers.get("content-length", "")
    return 0, int(length) if re.fullmatch(SIZE, length) else None


def _version(response: httpx.Response, total: int | None) -> str:
    """Return what tells versions of a file apart, as far as the server says."""
    headers = response.headers
    return f"{headers.get('etag')} {headers.get('last-modified')} {total}"


def _retry_after_s(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
