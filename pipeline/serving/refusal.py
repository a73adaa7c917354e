"""A request that is refused: which status, which reason, which words."""

from pipeline.core.errors import ImageError, RequestError
from pipeline.imaging.decode import FORMATS

RETRY_AFTER_S = 1

# Pillow's own words stay inside: an error text can carry addresses and paths.
PLAIN_WORDS = {
    "not_an_image": f"not an image in one of the formats {', '.join(FORMATS)}",
    "truncated": "the image is damaged or cut off",
}


class Refusal(RequestError):
    """A refusal with one word for the metrics; the words for people never carry a path."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(status, message)
        self.reason = reason


def of_image(error: ImageError) -> Refusal:
    """Return the refusal of bytes that are not a usable image."""
    status = 400 if error.reason == "empty" else 422
    return Refusal(status, error.reason, PLAIN_WORDS.get(error.reason, error.detail))
