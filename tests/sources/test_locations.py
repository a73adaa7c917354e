"""What `data.source` may say."""

import pytest

from pipeline.core.errors import DataError
from pipeline.sources.locations import PRESETS, Remote, locate, repository_root


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my data/pets.zip"
    path.parent.mkdir()
    path.write_bytes(b"x")
    return path


def test_a_relative_path_is_relative_to_the_repository(file, tmp_path):
    assert locate("my data/pets.zip", root=tmp_path) == file


def test_a_queued_experiment_looks_in_the_repository_it_came_from(monkeypatch, tmp_path):
    monkeypatch.setenv("DVC_ROOT", "/somewhere")
    assert str(repository_root()) == "/somewhere"
    monkeypatch.delenv("DVC_ROOT")
    monkeypatch.chdir(tmp_path)
    assert repository_root() == tmp_path


def test_a_tilde_is_the_home_folder(file, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/my data/pets.zip", root=tmp_path / "elsewhere") == file


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_file_url_is_a_path(host, file, tmp_path):
    url = f"file://{host}{file.as_uri().removeprefix('file://')}"
    assert "%20" in url
    assert locate(url, root=tmp_path / "elsewhere") == file


def test_a_preset_has_a_url_a_size_and_a_checksum(tmp_path):
    for name, preset in PRESETS.items():
        assert locate(name, root=tmp_path) is preset
        assert preset.size_bytes
        assert len(preset.sha256 or preset.md5 * 2) == 64  # hexadecimal digits; md5 has half


def test_the_name_of_a_url_shows_neither_password_nor_query():
    remote = Remote(url="https://joe:secret@example.org:81/a/b.zip?token=secret")
    assert remote.name == "https://example.org:81/a/b.zip"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "dogs",
            "'dogs' is neither a preset (synthetic, dogs-vs-cats, dogscats) nor an existing path",
        ),
        ("ftp://example.org/a.zip", "ftp:// is not understood; use http, https or file"),
        ("s3://bucket/a.zip", "s3:// is not understood"),
        ("http://", "not a URL"),
        ("http://[::1/a.zip", "not a URL"),
        ("file://server/a.zip", "a file URL has three slashes"),
        ("file:///no/such.zip", "nor an existing path (/no/such.zip)"),
        ("a\0b", "data.source: 'a\\x00b'"),
        ("x" * 5000, "data.source: 'xxx"),
        ("/dev/null", "neither a file nor a folder"),
    ],
)
def test_a_source_that_cannot_be_meant_is_one_clear_line(source, message, tmp_path):
    with pytest.raises(DataError) as caught:
        locate(source, root=tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "file://joe:hunter2@server/a.zip",
        "http://joe:hunter2@ex\u2100mple.org/a.zip",  # urlsplit's own message shows it
        "http://joe:hunter2@[::1/a.zip",
        "http://joe:hunter2@example.org:port/a.zip",
        "http://joe:p/hunter2@example.org/a.zip",
        "http:/joe:hunter2@example.org/a.zip",
        " https://joe:hunter2@example.org/a.zip",
        "joe:hunter2@example.org/a.zip",
        "joe:hunter2@" + "x" * 5000,
    ],
)
def test_a_password_in_a_mistyped_url_is_not_shown(source, tmp_path):
    with pytest.raises(DataError, match=r"^data\.source: ") as caught:
        locate(source, root=tmp_path)
    assert "hunter2" not in str(caught.value)


def test_an_at_sign_in_a_path_is_shown(tmp_path):
    with pytest.raises(DataError, match="'home/joe@work/pets' is neither"):
        locate("home/joe@work/pets", root=tmp_path)


def test_a_file_url_keeps_a_question_mark_and_a_hash(tmp_path):
    path = tmp_path / "cats? #1.zip"
    path.write_bytes(b"x")
    assert locate(f"file://{tmp_path}/cats? #1.zip", root=tmp_path) == path
    assert locate(path.as_uri(), root=tmp_path) == path


def test_a_dangling_link_is_neither_file_nor_folder(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        locate("link", root=tmp_path)
