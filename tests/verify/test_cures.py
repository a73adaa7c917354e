"""Every kind of harm is found, and the command that is named mends it."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from verify.conftest import shell

from pipeline.verify.verify import verify

pytestmark = pytest.mark.slow

A, B = Path("models/a.bin"), Path("models/b")
LOCK, RWLOCK = Path("dvc.lock"), Path(".dvc/tmp/rwlock")
GONE = 2**22 + 1  # Linux numbers no process so high


def object_of(path: Path) -> Path:
    """Return the object of an out in DVC's cache, read off dvc.lock."""
    stages = yaml.safe_load(LOCK.read_text())["stages"].values()
    (md5,) = {o["md5"] for stage in stages for o in stage["outs"] if o["path"] == str(path)}
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


def flip(path: Path) -> None:
    """Flip a bit as a dying disk does: size and time stay, and DVC takes the file for unchanged."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    with path.open("r+b") as file:  # in place: hard links share it
        file.write(content)
    path.chmod(status.st_mode)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def link() -> None:
    """Let the out and its object be one file, as the project's `cache.type` does."""
    A.unlink()
    os.link(object_of(A), A)


def flip_both() -> None:
    link()
    flip(A)


def flip_listing() -> None:
    flip(object_of(B))


def spoil_folder() -> None:
    (B / "one").write_text("other")
    (B / "thr ee").unlink()
    (B / "new").write_text("new")


def damage_folder_everywhere() -> None:
    (B / "one").write_text("other")
    for entry in json.loads(object_of(B).read_text()):
        flip(Path(".dvc/cache/files/md5", entry["md5"][:2], entry["md5"][2:]))


def lose_everything() -> None:
    for path in (A, A.with_name("a.bin.sha256")):
        path.unlink()
    shutil.rmtree(B)
    shutil.rmtree(".dvc/cache")


def lose_what_is_in_the_cache() -> None:
    A.unlink()
    A.with_name("a.bin.sha256").unlink()
    shutil.rmtree(B)


def stranger() -> None:
    """Put a damaged object of another experiment into the cache."""
    path = Path(".dvc/cache/files/md5/12", "3" * 30)
    path.parent.mkdir()
    path.write_bytes(b"anything")
    path.chmod(0o444)


def edit_unlisted_model() -> None:
    """Put a model there that is in no dvc.lock, and not what its checksum says."""
    Path("models/served.onnx").write_bytes(b"other")
    Path("models/served.onnx.sha256").write_text("0" * 64 + "  served.onnx\n")


def cut_lock_between_stages() -> None:
    LOCK.write_text(LOCK.read_text().partition("  second:")[0])


def cut_lock_between_outs() -> None:
    LOCK.write_text(LOCK.read_text().partition("    - path: models/b")[0])


def conflict_in_lock() -> None:
    text = (
        LOCK.read_text()
        .replace("schema", "<<<<<<< HEAD\nschema")
        .replace("stages", "=======\nstages")
    )
    LOCK.write_text(text + ">>>>>>> other\n")


def torn_lock_never_committed() -> None:
    shell(Path(), "git rm -q --cached dvc.lock && git commit -qm without")
    LOCK.write_text("")


def leave_rwlock(pid: int | None = None) -> None:
    """Leave what a DVC that was killed long ago had written."""
    user = {"pid": pid or os.getpid(), "cmd": "dvc repro"}
    RWLOCK.write_text(json.dumps({"write": {"/x": user}, "read": {"/y": [user]}}))
    os.utime(RWLOCK, (1e9, 1e9))


def leave_hardlink_lock() -> None:
    host = os.uname().nodename
    Path(".dvc/tmp/lock").write_text(f"/x/lock|{host}|{GONE}|12345\n")


def write(path: str, text: str):
    """Return a harm that writes a file."""

    def harm() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)

    return harm


def cut(n_bytes: int):
    """Return a harm that cuts dvc.lock off."""
    return lambda: LOCK.write_bytes(LOCK.read_bytes()[:n_bytes])


HARMS = {
    "a bit flipped here": (lambda: flip(A), "a.bin: md5 is "),
    "a bit flipped in the cache": (lambda: flip(object_of(A)), "a.bin: sound, but in DVC's cache"),
    "a bit flipped in both": (flip_both, "a.bin: md5 is .*, and in DVC's cache 1 of its objects"),
    "a file missing": (lambda: A.unlink(), "a.bin: missing; run: dvc checkout models/a.bin"),
    "an object missing": (lambda: object_of(A).unlink(), "a.bin: sound, but in DVC's cache"),
    "a folder spoilt": (spoil_folder, r"b: 1 missing \(thr ee\), 1 changed \(one\), 1 too many"),
    "a folder's listing damaged": (flip_listing, "b: sound, but in DVC's cache 1 of its"),
    "a folder damaged everywhere": (
        damage_folder_everywhere,
        "b: 1 changed .* 3 of its objects are",
    ),
    "a file where a folder was": (lambda: (shutil.rmtree(B), B.touch()), "models/b: "),
    "a metric changed": (write("metrics.json", "{}"), "metrics.json: md5 is .*git checkout HEAD"),
    "nothing here": (lose_everything, "dvc.lock: none of its 3 outs is here; run: dvc repro$"),
    "all in the cache alone": (lose_what_is_in_the_cache, "none of its 3 .* run: dvc checkout$"),
    "an object of elsewhere": (stranger, "333: damaged, and DVC would use it"),
    "a model unlike its checksum": (
        edit_unlisted_model,
        "served.onnx: not what served.onnx.sha256",
    ),
    "dvc.lock empty": (cut(0), "dvc.lock: torn, it holds no stages; run: git checkout HEAD"),
    "dvc.lock cut off in a hash": (cut(260), "dvc.lock: torn, an out of stage first"),
    "dvc.lock cut off in a word": (cut(30), "dvc.lock: torn"),
    "dvc.lock cut between stages": (cut_lock_between_stages, "dvc.lock: knows no stage second"),
    "dvc.lock cut between outs": (cut_lock_between_outs, "dvc.lock: .*second"),
    "dvc.lock binary": (lambda: LOCK.write_bytes(bytes(range(256))), "dvc.lock: cannot be read"),
    "dvc.lock missing": (lambda: LOCK.unlink(), "dvc.lock: missing"),
    "dvc.lock in conflict": (conflict_in_lock, "dvc.lock: holds the conflict markers"),
    "dvc.lock torn, none in Git": (torn_lock_never_committed, "rm -f dvc.lock && dvc repro$"),
    "rwlock empty": (write(str(RWLOCK), ""), ".dvc/tmp/rwlock: empty"),
    "rwlock torn": (write(str(RWLOCK), '{"write": {'), ".dvc/tmp/rwlock: torn"),
    "rwlock of a number taken again": (
        leave_rwlock,
        ".dvc/tmp/rwlock: names process .*, by now an",
    ),
    "hard link lock of the dead": (leave_hardlink_lock, ".dvc/tmp/lock: held by a process"),
    "a write that was killed": (
        write("models/.tmp-a.bin-0123", "half"),
        ".tmp-a.bin-0123: left by",
    ),
    "a folder's write killed": (write("data/.tmp-p-0123/x", "half"), "data/.tmp-p-0123: left by"),
    "an experiment killed": (
        lambda: shell(Path(), "git update-ref refs/exps/exec/EXEC_MERGE HEAD"),
        "refs/exps/exec: left by a killed `dvc exp run`: EXEC_MERGE",
    ),
    "a copy into the cache killed": (
        write(".dvc/cache/files/md5/ab/.x1y.tmp", "half"),
        r"ab/.x1y.tmp: left by a DVC that was killed",
    ),
}


@pytest.mark.parametrize("name", HARMS)
def test_each_harm_is_found_and_its_cure_mends_it(repository, name):
    harm, expected = HARMS[name]
    harm()
    found = verify(Path(), with_cache=True).findings
    assert len(found) == 1, [*map(str, found)]
    assert re.search(expected, str(found[0])), str(found[0])
    shell(repository, found[0].cure)
    assert verify(Path(), with_cache=True).findings == ()
    if "dvc" not in found[0].cure.split():  # whether DVC thinks so too
        shell(repository, "dvc repro | grep -q 'up to date'")


def test_an_entry_of_the_dead_is_not_worth_a_word_since_dvc_forgets_it(repository):
    leave_rwlock(GONE)
    assert verify(Path(), with_cache=True).findings == ()


def test_what_dvc_leaves_after_an_experiment_that_ended_well_is_not_worth_a_word(repository):
    shell(repository, "dvc exp run -f")
    assert "EXEC_HEAD" in shell(repository, "git for-each-ref refs/exps/exec")
    assert verify(Path(), with_cache=True).findings == ()


def test_several_harms_are_cured_one_after_the_other(repository):
    link()
    for harm in (lambda: flip(A), spoil_folder, write("metrics.json", "{}"), cut_lock_between_outs):
        harm()
    for finding in verify(Path(), with_cache=True).findings:
        shell(repository, finding.cure)
    assert verify(Path(), with_cache=True).findings == ()


def test_with_a_remote_what_is_lost_is_pulled_and_nothing_runs(repository, tmp_path):
    shell(repository, f"dvc remote add -q -d there {tmp_path}/remote && dvc push -q")
    flip_both()
    (finding,) = verify(Path(), with_cache=True).findings
    assert finding.cure.endswith("&& dvc repro --pull first")
    (repository / "make.py").chmod(0)  # which nothing may run
    said = shell(repository, finding.cure.replace("dvc repro", "dvc repro -v"))
    assert "Running stage" not in said
    assert verify(Path(), with_cache=True).findings == ()
    lose_everything()
    (finding,) = verify(Path(), with_cache=True).findings
    assert finding.cure == "dvc pull"
    shell(repository, finding.cure)
    assert verify(Path(), with_cache=True).findings == ()
