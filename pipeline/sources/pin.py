"""Pin local sources: write what they hold now, as a checksum, into params.yaml.

DVC cannot watch a path that is only a parameter; it does watch the parameter beside it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.arguments import command_parser
from pipeline.core.atomic import write_text
from pipeline.core.errors import DataError, ParamsError
from pipeline.core.params import DataParams, Params, load_params, parse_params
from pipeline.core.process import guarded
from pipeline.core.seen import look, record_seen
from pipeline.core.yaml12 import parse_yaml
from pipeline.core.yaml_edit import Value, with_values
from pipeline.sources.checksums import sha256_of
from pipeline.sources.limits import ArchiveLimits
from pipeline.sources.locations import SYNTHETIC, Source, is_synthetic, locate_all, repository_root

PARAMS = Path("params.yaml")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = command_parser(
        "pipeline.sources.pin",
        description="Write sources and the checksums of what they hold now into params.yaml, so "
        "that `dvc repro` notices a change.",
    )
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="archive, folder, URL or preset to learn from; none keeps data.source",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; status 1 if a local source is not pinned or differs from its pin",
    )
    chosen = parser.parse_args(arguments)
    if chosen.check and chosen.sources:
        parser.error("--check takes no SOURCE; it looks at data.source")
    return guarded(lambda: check() if chosen.check else pin(chosen.sources), name="pin")


def pin(texts: Sequence[str] = ()) -> None:
    """Write `data.source` and `data.sha256` into params.yaml; all else there stays as it is.

    Args:
        texts: the sources; none keeps those that params.yaml names.

    Raises:
        ParamsError: params.yaml is not valid, or cannot hold such a name.
        DataError: a source is missing or cannot be read.
    """
    params = load_params(PARAMS)
    kept = [params.data.source] if isinstance(params.data.source, str) else params.data.source
    texts = list(dict.fromkeys(texts)) or list(kept)
    if is_synthetic(texts):
        _write(SYNTHETIC, None)
        print(f"data.source: {SYNTHETIC}: drawn, so there is nothing to pin")
        return
    sources = locate_all(
        texts, [_known(params).get(text) for text in texts], root=repository_root()
    )
    seen = {s.place: look(s.place) for s in sources if isinstance(s.place, Path)}
    checksums = [_checksum(source, params) for source in sources]
    alone = len(texts) == 1
    _write(texts[0] if alone else texts, checksums[0] if alone else checksums)
    for source, checksum in zip(sources, checksums, strict=True):
        if isinstance(source.place, Path):
            seen[source.place]["sha256"] = checksum
        print(f"data.source: {source.name}: {checksum or _unpinned(source)}")
    record_seen(seen)


def check() -> None:
    """Compare every local source with its pin.

    Raises:
        DataError: one is not pinned, differs from its pin, or is missing.
    """
    params = load_params(PARAMS)
    if is_synthetic(params.data.source):
        return
    for source in locate_all(params.data.source, params.data.sha256, root=repository_root()):
        if not isinstance(source.place, Path):
            continue
        found = _checksum(source, params)
        if found != source.sha256:
            state = "is not pinned" if source.sha256 is None else f"differs: {source.sha256} before"
            raise DataError(
                f"data.source: {source.name} {state}, {found} now; "
                "run: python -m pipeline.sources.pin && dvc repro"
            )


def _known(params: Params) -> dict[str, str | None]:
    """Return the checksum that params.yaml has for each source."""
    source, sha256 = params.data.source, params.data.sha256
    texts = [source] if isinstance(source, str) else source
    checksums = sha256 if isinstance(sha256, tuple) else [sha256] * len(texts)
    return dict(zip(texts, checksums, strict=True))


def _checksum(source: Source, params: Params) -> str | None:
    """Return what to write for a source: of what is not here, only download can tell."""
    if not isinstance(source.place, Path):
        return source.sha256
    return sha256_of(source.place, limits=_limits(params.data))


def _limits(data: DataParams) -> ArchiveLimits:
    return ArchiveLimits(
        members=data.max_members,
        member_bytes=data.max_member_bytes,
        total_bytes=data.max_total_bytes,
        ratio=data.max_ratio,
        name_chars=data.max_name_chars,
        depth=data.max_depth,
    )


def _unpinned(source: Source) -> str:
    place = source.place
    known = not isinstance(place, Path) and (place.sha256 or place.md5)
    return "its checksum is built in" if known else "not here yet; download prints its checksum"


def _write(source: Value, sha256: Value) -> None:
    try:
        text = PARAMS.read_text(encoding="utf-8")
        new = with_values(text, {"data": {"source": source, "sha256": sha256}})
    except (OSError, ValueError) as error:
        raise ParamsError(f"{PARAMS}: cannot be changed: {error}; edit it by hand") from error
    parse_params(parse_yaml(new))
    write_text(PARAMS, new)


if __name__ == "__main__":
    sys.exit(main())
