"""Downloads against a real server on the loopback interface that fails in every way."""

import hashlib
import http.server
import io
import itertools
import logging
import socket
import struct
import threading
import time
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from pipeline.core.archive import RawArchive
from pipeline.core.errors import DataError
from pipeline.sources.collect import collect
from pipeline.sources.fetch import FetchPolicy, fetch
from pipeline.sources.limits import LIMITS, ArchiveLimits
from pipeline.sources.locations import Remote
from pipeline.sources.partials import find_partial, locked, remove_partials

POLICY = FetchPolicy(backoff_s=0.01, timeout_s=0.5)
CONTENT = bytes(itertools.islice(itertools.cycle(range(251)), 700_000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """What the server does: one step of `script` per request, then the whole file."""

    url: str = ""
    content: bytes = CONTENT
    etag: str = '"1"'
    script: list = field(default_factory=list)
    requests: list = field(default_factory=list)

    @property
    def ranges(self):
        return [request.get("Range") for request in self.requests]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self):
        with suppress(ConnectionError):  # a client that refuses an answer hangs up
            super().handle()

    def do_GET(self):
        site = self.server.site
        site.requests.append(dict(self.headers))
        step = site.script.pop(0) if site.script else "whole"
        getattr(self, step.partition(" ")[0])(site, *step.split(" ")[1:])

    def start(self, status, length, **headers):
        self.send_response(status)
        self.send_header("ETag", self.server.site.etag)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def body(self, content):
        self.wfile.write(content)
        self.wfile.flush()

    def whole(self, site, cut=None):
        asked, size = self.headers.get("Range"), len(site.content)
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if first >= size > 0:
            self.start(416, 0, Content_Range=f"bytes */{size}")
        elif asked:
            self.start(206, size - first, Content_Range=f"bytes {first}-{size - 1}/{size}")
            self.body(site.content[first:])
        else:
            self.start(200, size)
            self.body(site.content[: int(cut)] if cut else site.content)
        self.close_connection = bool(cut)

    def norange(self, site):
        self.start(200, len(site.content))
        self.body(site.content)

    def lying(self, site):
        self.start(206, len(site.content), Content_Range="bytes 0-9/10")
        self.body(site.content)

    def lyinglong(self, site):
        self.start(206, len(site.content), Content_Range=f"bytes 300000-9/{'9' * 5000}")
        self.body(site.content)

    def lyinglonger(self, site):
        self.start(206, len(site.content), Content_Range=f"bytes {'9' * 5000}-9/*")
        self.body(site.content)

    def status(self, site, code):
        self.start(int(code), 0)

    def nolength(self, site):
        self.start(200, None, Connection="close")
        self.body(site.content)
        self.close_connection = True

    def redirect(self, site, place):
        self.start(302, 0, Location=place)

    def stall(self, site):
        self.start(200, len(site.content))
        self.body(site.content[:1000])
        site.stalled.wait(2)
        self.close_connection = True

    def drip(self, site):
        self.start(200, len(site.content))
        for k in range(40):
            self.body(site.content[k : k + 1])
            if site.stalled.wait(0.1):
                break
        self.close_connection = True

    def reset(self, site):
        self.start(200, len(site.content))
        self.body(site.content[:300_000])
        linger = struct.pack("ii", 1, 0)  # closing sends RST instead of FIN
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def html(self, site):
        page = b"<!doctype html><title>Log in</title>"
        self.start(200, len(page), Content_Type="text/html")
        self.body(page)

    def log_message(self, *_):
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site = server.site = Site(url=f"http://127.0.0.1:{server.server_address[1]}/pets.zip")
    site.stalled = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.stalled.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def get(site, tmp_path):
    """Fetch what the site holds."""

    def run(url=None, max_bytes=10**9, **known):
        remote = Remote(url=url or site.url, **known)
        return fetch(remote, tmp_path, max_bytes=max_bytes, policy=POLICY).read_bytes()

    return run


def pets_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("cat/1.jpg", b"meow" * 20_000)
        archive.writestr("dog/1.jpg", b"woof")
    return file.getvalue()


def test_a_file_is_fetched_whole(site, get):
    assert get() == CONTENT
    assert site.ranges == [None]
    assert site.requests[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    "step", ["whole 300000", "stall", "reset", "drip", "status 500", "status 429"]
)
def test_a_failure_that_passes_is_tried_again(step, site, get):
    site.script = [step]
    assert get() == CONTENT


def test_a_cut_download_goes_on_where_it_stopped(site, get):
    site.script = ["whole 300000"]
    assert get() == CONTENT
    assert site.ranges == [None, "bytes=300000-"]


def test_a_killed_download_goes_on_in_the_next_run(site, get, tmp_path):
    site.script = ["whole 300000", *["status 503"] * 4]
    with pytest.raises(DataError, match="5 tries, the last one: HTTP 503; run again"):
        get()
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [300000]
    assert get() == CONTENT
    assert site.ranges[-1] == "bytes=300000-"


def test_a_download_that_another_process_writes_is_left_to_it(site, get, tmp_path):
    site.script = ["whole 300000"] + ["status 503"] * 4
    with pytest.raises(DataError, match="5 tries"):
        get()
    partial = find_partial(tmp_path, site.url)
    with locked(partial, "the other"):
        with pytest.raises(DataError, match="another process is fetching it"):
            get()
        remove_partials(tmp_path)
    assert partial.read_bytes() == CONTENT[:300_000]
    assert get() == CONTENT


def test_a_new_version_on_the_server_is_fetched_from_its_start(site, get):
    site.script = ["whole 300000", *["status 503"] * 4]
    with pytest.raises(DataError):
        get()
    site.etag, site.content = '"2"', CONTENT[::-1]
    assert get() == CONTENT[::-1]


@pytest.mark.parametrize("step", ["norange", "lying", "status 416"])
def test_a_server_that_cannot_resume_is_asked_from_the_start(step, site, get):
    site.script = ["whole 300000", step]
    assert get() == CONTENT


def test_a_whole_file_that_was_not_used_is_not_fetched_again(site, get):
    get()
    assert get() == CONTENT
    assert site.ranges == [None, f"bytes={len(CONTENT)}-"]  # answered by 416: nothing is missing
    assert get(size_bytes=len(CONTENT)) == CONTENT
    assert len(site.requests) == 2


def test_a_whole_file_of_an_older_version_is_fetched_again(site, get):
    get()
    site.etag, site.content = '"2"', CONTENT[::-1]
    assert get() == CONTENT[::-1]


def test_a_server_that_tells_no_length_is_believed(site, get):
    site.script = ["nolength"]
    assert get() == CONTENT


def test_a_short_body_without_a_length_is_noticed_by_the_known_size(site, get):
    site.script = ["nolength"]
    with pytest.raises(DataError, match="offers 700000 bytes, expected 700001"):
        get(size_bytes=700_001)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_one_line_at_once(status, site, get):
    site.script = [f"status {status}"] * 2
    with pytest.raises(DataError, match=rf"pets.zip: HTTP {status} \w+.*; check data.source"):
        get()
    assert len(site.requests) == 1


def test_a_server_that_keeps_failing_is_asked_five_times(site, get):
    site.script = ["status 500"] * 9
    with pytest.raises(DataError, match="cannot be fetched, 5 tries, the last one: HTTP 500"):
        get()
    assert len(site.requests) == 5


@pytest.mark.parametrize("step", ["stall", "drip"])
def test_a_server_that_hangs_is_given_up_in_bounded_time(step, site, get, tmp_path):
    policy = FetchPolicy(backoff_s=0.01, timeout_s=0.2, patience_s=60)
    site.script = [step] * 9
    start = time.monotonic()
    with pytest.raises(DataError, match="cannot be fetched, 5 tries"):
        fetch(Remote(url=site.url), tmp_path, max_bytes=10**9, policy=policy)
    assert time.monotonic() - start < 5 * (0.2 + 0.1) + 2


def test_no_try_begins_when_patience_is_over(site, tmp_path):
    site.script = ["status 503"] * 9
    policy = FetchPolicy(backoff_s=0.2, patience_s=0.5)
    with pytest.raises(DataError, match="cannot be fetched, 2 tries"):  # after 0 s and 0.2 s
        fetch(Remote(url=site.url), tmp_path, max_bytes=10**9, policy=policy)


@pytest.mark.parametrize("host", ["a..b", "x" * 300, "xn--", "\ud800"])
def test_a_host_that_cannot_be_is_one_line(host, get):
    with pytest.raises(DataError, match=r"is no http\(s\) address"):
        get(f"http://{host}/pets.zip")


@pytest.mark.parametrize(
    "proxy", ["foo://joe:hunter2@x", "http://joe:hunter2@h:port", "http://[::"]
)
def test_a_wrong_proxy_is_one_line_without_its_password(proxy, site, get, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, proxy)
    with pytest.raises(DataError, match="the proxy or certificate settings") as caught:
        get()
    assert "hunter2" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line(site, get):
    with pytest.raises(DataError, match="cannot be fetched, 5 tries"):
        get("http://127.0.0.1:9/pets.zip")


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/"]
)
def test_a_redirect_to_another_scheme_is_refused(place, site, get):
    site.script = [f"redirect {place}"]
    with pytest.raises(DataError, match=r"pets.zip: redirects to (file|ftp|gopher)://"):
        get()


def test_a_redirect_to_no_host_is_one_line(site, get):
    site.script = ["redirect data:text/plain,a"]
    with pytest.raises(DataError, match=r"where it redirects to, is no http\(s\) address"):
        get()


def test_redirects_are_followed_and_a_loop_is_not(site, get):
    site.script = ["redirect /other.zip"] * 10
    assert get() == CONTENT
    site.script = ["redirect /other.zip"] * 99
    with pytest.raises(DataError, match="more than 10 redirects"):
        get(site.url + "?again")


def test_a_file_of_another_size_is_refused_before_it_is_fetched(site, get, tmp_path):
    with pytest.raises(DataError, match="offers 700000 bytes, expected 5"):
        get(size_bytes=5)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_size_leaves_other_downloads(site, get, tmp_path):
    get(site.url + "?other")
    with pytest.raises(DataError, match="offers 700000 bytes, expected 5"):
        get(size_bytes=5)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [CONTENT]


@pytest.mark.parametrize("step", ["lyinglong", "lyinglonger"])
def test_a_size_of_5000_digits_is_none(step, site, get):
    site.script = ["whole 300000", step]
    assert get() == CONTENT


def test_an_endless_file_is_stopped(site, get, tmp_path):
    with pytest.raises(DataError, match=r"more than 1000 bytes.* raise data.max_total_bytes"):
        get(max_bytes=1000)
    assert list(tmp_path.iterdir()) == []


def test_partial_files_are_removed_by_name_only(site, get, tmp_path):
    get()
    (tmp_path / "mine.part").touch()
    remove_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.part"]


def test_user_and_password_are_sent_and_never_shown(site, tmp_path, caplog, capfd, target):
    caplog.set_level(logging.DEBUG)
    site.content = pets_zip()
    url = site.url.replace("://", "://joe:hunter2@") + "?token=hunter2"
    collect(url, target, sha256=None, root=tmp_path)
    assert site.requests[0]["Authorization"] == "Basic am9lOmh1bnRlcjI="
    assert "~/.netrc is the safer place" in caplog.text
    site.script = ["status 404"]
    with pytest.raises(DataError) as caught:
        collect(url + "2", target, sha256=None, root=tmp_path)
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("pipeline")]
    shown = " ".join([*ours, str(caught.value), *capfd.readouterr()])
    assert "hunter2" not in shown
    for path in target.parent.iterdir():
        assert b"hunter2" not in path.read_bytes()


def test_a_password_in_netrc_is_used(site, get, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login joe password hunter2")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    netrc.rename(tmp_path / ".netrc")
    get()
    assert site.requests[0]["Authorization"] == "Basic am9lOmh1bnRlcjI="


def test_a_url_becomes_the_archive_and_its_checksum_is_ready_to_paste(
    site, tmp_path, target, caplog
):
    caplog.set_level(logging.INFO)
    site.content = pets_zip()
    sha256 = hashlib.sha256(site.content).hexdigest()
    collect(site.url, target, sha256=None, root=tmp_path)
    assert f"data.sha256: {sha256}" in caplog.text
    collect(site.url, target, sha256=sha256, root=tmp_path)
    with RawArchive(target) as archive:
        assert [member.source for member in archive.members] == ["cat/1.jpg", "dog/1.jpg"]


@pytest.mark.usefixtures("untouched")
def test_a_wrong_checksum_shows_both_and_removes_what_was_fetched(site, tmp_path, target):
    with pytest.raises(DataError) as caught:
        collect(site.url, target, sha256="0" * 64, root=tmp_path)
    assert f"sha256 is {SHA256}, expected {'0' * 64}" in str(caught.value)
    assert "correct data.sha256" in str(caught.value)


@pytest.mark.usefixtures("untouched")
def test_a_login_page_instead_of_the_archive_is_refused(site, tmp_path, target):
    site.script = ["html"]
    with pytest.raises(DataError, match="a web page, such as a login or error page"):
        collect(site.url, target, sha256=None, root=tmp_path)


@pytest.mark.parametrize("fault", ["another is gone", "another has changed", "a limit is met"])
def test_what_was_fetched_whole_survives_the_fault_of_something_else(
    fault, site, tmp_path, target, make_zip
):
    site.content = pets_zip()
    make_zip([("cat/1.jpg", b"1")], "mine.zip")
    sources = {"another is gone": [site.url, site.url + "?gone"], "a limit is met": [site.url]}
    checksums = {"another has changed": [None, "0" * 64]}
    site.script = ["whole", "status 404"] if fault == "another is gone" else []
    with pytest.raises(DataError, match=r"HTTP 404|sha256 is|more than 1 entries"):
        collect(
            sources.get(fault, [site.url, "mine.zip"]),
            target,
            sha256=checksums.get(fault),
            root=tmp_path,
            limits=ArchiveLimits(members=1) if fault == "a limit is met" else LIMITS,
        )
    assert [path.read_bytes() for path in target.parent.iterdir()] == [site.content]


@pytest.mark.usefixtures("untouched")
def test_a_damaged_archive_is_fetched_again(site, tmp_path, target):
    content = bytearray(pets_zip())
    content[60] ^= 0xFF  # in the compressed bytes of the first file
    site.content = bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        collect(site.url, target, sha256=None, root=tmp_path)


@pytest.mark.usefixtures("untouched")
def test_a_wrong_checksum_of_a_local_archive_is_refused(tmp_path, target):
    path = tmp_path / "pets.zip"
    path.write_bytes(pets_zip())
    with pytest.raises(DataError, match=rf"sha256 is \w+, expected {'0' * 64}"):
        collect(str(path), target, sha256="0" * 64, root=tmp_path)
