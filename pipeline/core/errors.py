"""The errors that a user can mend; anything else that is raised is a bug.

PipelineError
├── ParamsError     params.yaml: unknown key, missing key, wrong type, out of range
├── DataError       a label or a source that cannot be used
│   └── ImageError  bytes that are not a usable image; carries its reason
├── ArtifactError   a file between stages is missing or malformed
├── TrainingError   the fit cannot go on
├── ExportError     the exported model disagrees with the checkpoint
├── InstallationError  the installed packages cannot run the pipeline
└── RequestError    a request that cannot be served; carries its HTTP status

A message says what is wrong, where, and what to do about it, in one line.
"""


class PipelineError(Exception):
    """A failure with a cure, shown to the user as one line."""


class ParamsError(PipelineError):
    """params.yaml says something that cannot be meant."""


class DataError(PipelineError):
    """An image, a label or a source that cannot be used."""


class ImageError(DataError):
    """Bytes that are not a usable image; `reason` is one word of `REASONS`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class ArtifactError(PipelineError):
    """A file between stages is missing or malformed."""


class TrainingError(PipelineError):
    """The fit cannot go on."""


class ExportError(PipelineError):
    """The exported model disagrees with the checkpoint."""


class InstallationError(PipelineError):
    """The installed packages cannot run the pipeline."""


class RequestError(PipelineError):
    """A request that cannot be served."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
