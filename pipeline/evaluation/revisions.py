"""Artifacts of other revisions, out of DVC's cache or remote."""

import tempfile
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import resolve_rev
from scmrepo.exceptions import SCMError

from pipeline.core.artifacts import Predictions, read_predictions
from pipeline.core.errors import ArtifactError
from pipeline.core.layout import Layout

WORKSPACE = "workspace"
"""What the files as they lie there are called; DVC's own word."""


def predictions_at(revision: str, *, root: Path = Path()) -> Predictions:
    """Return the test predictions of a revision.

    Args:
        revision: whatever Git or DVC resolves: a commit, branch, tag or experiment; or `WORKSPACE`.
        root: the repository's top folder.

    Raises:
        ArtifactError: there is no such revision, or it has no predictions, or they are neither in
            the cache nor in the remote, or malformed.
    """
    if revision == WORKSPACE:
        return read_predictions(Layout(root).predictions)
    path = Layout().predictions.as_posix()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "predictions.csv")
        copy.write_bytes(_read(path, revision=revision, root=root))
        try:
            return read_predictions(copy)
        except ArtifactError as error:
            raise ArtifactError(str(error).replace(str(copy), f"{path} of {revision}")) from error


def _read(path: str, *, revision: str, root: Path) -> bytes:
    if not revision.strip("\0 "):  # Git takes no name for HEAD
        raise ArtifactError("a revision is empty; name one")
    try:
        with Repo(str(root)) as here:
            found = resolve_rev(here.scm, revision)  # which may be a tag, a folder or a file
            commit = here.scm.resolve_rev(f"{found}^{{commit}}")
        repo = Repo(str(root), rev=commit)
    except (DvcException, SCMError) as error:
        raise ArtifactError(
            f"{revision}: {_brief(error)}; see git log and dvc exp show for what there is"
        ) from error
    with repo:
        if not repo.dvcfs.isfile(path):
            raise ArtifactError(
                f"{path}: {revision} has none; name a revision at which evaluate had run"
            )
        try:
            content: bytes = repo.dvcfs.read_bytes(path)
        except (DvcException, OSError) as error:
            raise ArtifactError(
                f"{path} of {revision}: neither in DVC's cache nor in a remote "
                f"({_brief(error)}); run: dvc fetch --all-commits, or git checkout that revision "
                "and dvc repro evaluate"
            ) from error
    return content


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
