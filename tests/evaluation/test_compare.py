"""The command on a repository with two commits, an experiment and hostile names."""

import io
import json
import re
import signal
import subprocess
from html.parser import HTMLParser

import pytest
from dvc.repo import Repo
from PIL import Image

from pipeline.core.archive import write_archive
from pipeline.core.artifacts import Prediction, Predictions, write_predictions
from pipeline.core.layout import Layout
from pipeline.evaluation import compare

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # inside DVC's own dependencies
]

HOSTILE = "cat/<img src=x onerror=alert(1)>&\"'.jpg"
PATHS = [HOSTILE, *(f"cat/{k:02d}.jpg" for k in range(20))]


def predictions(n_wrong, *, paths=PATHS, classes=("cat", "dog")):
    """Return predictions of cats of which the first `n_wrong` are taken for the other class."""
    wrong, right = (classes[1], 1.6, (0.2, 0.8)), (classes[0], 0.4, (0.7, 0.3))
    rows = tuple(
        Prediction(path, "cat", *(wrong if k < n_wrong else right)) for k, path in enumerate(paths)
    )
    return Predictions(classes, rows)


class Project:
    """A DVC repository with nothing but predictions and images."""

    def __init__(self, root):
        self.root, self.layout = root, Layout(root)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Test")
        self.git("config", "user.email", "test@example.invalid")
        self.git("commit", "-qm", "empty", "--allow-empty")
        self.git("tag", "empty")
        Repo.init(str(root)).close()

    def git(self, *arguments):
        return subprocess.run(
            ["git", *arguments], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, found, message):
        """Commit predictions, tracked by DVC; return the commit."""
        write_predictions(self.layout.predictions, found)
        with Repo(str(self.root)) as repo:
            repo.add(str(self.layout.predictions))
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Commits `empty`, `bare`, `bad` (10 of 21 wrong), `other` (classes), `lost` and `best` (1)."""
    made = Project(tmp_path_factory.mktemp("with space"))
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), "red").save(buffer, "JPEG")
    images = [(path, path, buffer.getvalue()) for path in sorted(PATHS)[1:]]
    write_archive(made.layout.raw_archive, [*images, ("dog/damaged.jpg", "", b"no image")])
    made.git("add", ".dvc")
    made.git("commit", "-qm", "bare")
    made.git("tag", "-a", "bare", "-m", "an annotated tag")
    for name, found in {
        "bad": predictions(10),
        "other": predictions(1, classes=("cat", "wolf")),
        "lost": predictions(2),
        "best": predictions(1),
    }.items():
        commit = made.commit(found, name)
        made.git("tag", name)
        if name == "bad":  # as DVC keeps experiments
            made.git("update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/hasty-rats", commit)
    with Repo(str(made.root), rev="lost") as repo:
        (digest,) = {out.hash_info.value for out in repo.index.outs}
    (made.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).unlink()
    return made


@pytest.fixture
def run(project, monkeypatch, capsys):
    """Run the command in the project; return status, output and errors."""
    monkeypatch.chdir(project.root)

    def running(*argv):
        status = compare.command(["--resamples", "100", *argv])
        said = capsys.readouterr()
        return status, said.out, said.err

    handler = signal.getsignal(signal.SIGTERM)
    yield running
    signal.signal(signal.SIGTERM, handler)


def test_two_revisions_get_one_sentence(run):
    status, out, _ = run("bad", "best", "--no-html")
    assert status == 0
    assert out.splitlines()[0] == "21 test images in both; 0 only in bad, 0 in best"
    # 9 fixed, none broken: p = 2 / 2^9.
    assert out.splitlines()[-1] == (
        "best is better than bad: best is right on 9 images that bad gets wrong, and wrong on "
        "0 images that bad gets right (McNemar's exact test: p = 0.0039, n = 21)"
    )


def test_one_revision_is_compared_with_the_workspace(run, project):
    write_predictions(project.layout.predictions, predictions(3))
    found = json.loads(run("best", "--json", "--no-html")[1])
    assert (found["old"], found["new"], found["verdict"]) == ("best", "workspace", "no evidence")
    assert found["broken"] == PATHS[1:3]
    assert found["accuracy"]["old"] == pytest.approx(20 / 21, abs=1e-6)


def test_an_experiment_is_a_revision_and_a_commit_too(run, project):
    out = run("hasty-rats", project.git("rev-parse", "--short", "best"), "--no-html", "--json")[1]
    assert json.loads(out)["verdict"] == "better"


def test_only_if_asked_for_is_worse_a_failure(run):
    assert run("best", "bad", "--no-html")[0] == 0
    assert run("best", "bad", "--no-html", "--fail-if-worse")[0] == compare.WORSE_STATUS == 3
    assert run("bad", "best", "--no-html", "--fail-if-worse")[0] == 0
    assert run("nonsense", "--no-html", "--fail-if-worse")[0] == 1


@pytest.mark.parametrize(
    ("revisions", "words"),
    [
        (("nonsense",), "nonsense: unknown Git revision 'nonsense'"),
        (("",), "a revision is empty"),
        (("best:.gitignore",), "unknown Git revision"),
        (("empty", "best"), "empty: you are not inside of a DVC repository"),
        (("bare", "best"), "predictions.csv: bare has none; name a revision"),
        (("lost", "best"), "predictions.csv of lost: neither in DVC's cache nor .*dvc fetch"),
        (("other", "best"), "only old 'wolf', only new 'dog'"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(run, revisions, words):
    status, out, errors = run(*revisions)
    assert (status, out) == (1, "")
    (line,) = [line for line in errors.splitlines() if "error" in line]
    assert re.search(words, line)
    assert "Traceback" not in errors


def test_outside_of_a_repository_one_line_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert compare.command(["HEAD", "--no-html"]) == 1
    assert "DVC repository" in capsys.readouterr().err


class Outline(HTMLParser):
    """Collects tags and what they load."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.sources, self.events = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        self.events += [name for name, _ in attributes if name.startswith("on")]


def test_the_page_shows_the_images_and_runs_nothing(run, project):
    assert run("bad", "best")[0] == 0
    page = (project.root / "reports/compare.html").read_text()
    found = Outline(page)
    assert "script" not in found.tags
    assert found.events == []
    # Nine are fixed: the first is still wrong. One of them is not in data/raw.zip.
    assert found.tags.count("img") == 8
    assert page.count("not in data/raw.zip") == 1
    assert all(source.startswith("data:image/jpeg;base64,") for source in found.sources)
    assert "Fixed: 9" in page
    assert "Newly broken: 0" in page
    assert "cat/08.jpg" in page
    assert len(page) < 100_000


def test_a_hostile_name_is_text(run, project):
    write_predictions(project.layout.predictions, predictions(0))
    assert run("best", "--html", "reports/here.html")[0] == 0
    page = (project.root / "reports/here.html").read_text()
    assert "&lt;img src=x onerror=alert(1)&gt;&amp;" in page
    found = Outline(page)
    assert found.events == []
    assert found.tags.count("img") == 1


def test_without_the_images_the_page_is_written_and_the_log_says_why(run, project, caplog):
    archive = project.layout.raw_archive
    hidden = archive.rename(archive.with_name("hidden.zip"))
    try:
        assert run("bad", "best")[0] == 0
    finally:
        hidden.rename(archive)
    page = (project.root / "reports/compare.html").read_text()
    assert "img" not in Outline(page).tags
    assert "cat/08.jpg" in page
    assert any("no pictures in the page" in text for text in caplog.messages)


@pytest.mark.parametrize("seed", ["-1", "x"])
def test_a_seed_that_is_none_is_one_line(run, capsys, seed):
    with pytest.raises(SystemExit) as left:
        run("best", "--seed", seed)
    assert left.value.code == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert "argument --seed" in errors
