"""The card as Markdown."""

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError

from pipeline.card.facts import Facts
from pipeline.card.front_matter import front_matter
from pipeline.card.markdown import bibtex, code, prose
from pipeline.core.errors import ArtifactError

NOT_STATED = "not stated"
INTENDED = (
    "sorting pictures that each show one thing of one of these classes, of the kind that it was "
    "trained on, where a wrong answer costs little or a person looks at it."
)
OUT_OF_SCOPE = (
    "decisions about people or their property, safety, medicine; pictures of another kind (other "
    "cameras, other styles) without measuring again; pictures that may show none of the classes "
    "(see below)."
)


def render(facts: Facts) -> str:
    """Return the model card; equal facts give equal bytes.

    Raises:
        ArtifactError: a figure is missing.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.card"),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown; foreign texts pass `code`, `prose` or `bibtex`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "bibtex": bibtex,
        "code": code,
        "digits": _digits,
        "percent": _percent,
        "prose": prose,
        "stated": _stated,
    }
    try:
        return environment.get_template("MODEL_CARD.md.jinja").render(
            facts=facts,
            m=facts.metrics,
            front_matter=front_matter(facts),
            classes=facts.spec.classes,
            intended=INTENDED,
            out_of_scope=OUT_OF_SCOPE,
        )
    except (UndefinedError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"models/MODEL_CARD.md: a figure is missing ({error}); "
            "run: dvc repro --force evaluate export_onnx"
        ) from error


def _digits(value: float | None, digits: int = 3) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _stated(text: str | None, key: str) -> str:
    """Return what was stated, or where to state it."""
    return f"{NOT_STATED} (`card.{key}` in `params.yaml`)" if text is None else prose(text)
