"""The files of a multipart/form-data body, taken from memory and kept there."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pipeline.core.errors import RequestError

MAX_PARTS = 16


@dataclass(slots=True)
class _Part:
    is_file: bool = False
    content: bytearray = field(default_factory=bytearray)


class _Collector:
    """The callbacks of one parse; what is not a file is dropped while it streams by."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.complete = False
        self._name, self._value = bytearray(), bytearray()

    def on_part_begin(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise RequestError(400, f"over {MAX_PARTS} parts in the multipart body")
        self.parts.append(_Part())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self.parts[-1].is_file = b"filename" in options
        self._name, self._value = bytearray(), bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self.parts[-1].is_file:
            self.parts[-1].content += data[start:end]

    def on_end(self) -> None:
        self.complete = True


def file_parts(body: bytes, content_type: str) -> list[bytes]:
    """Return the content of each file field, in order.

    Raises:
        RequestError: 400 if the body is malformed, cut off, or has too many parts.
    """
    _, options = parse_options_header(content_type)
    if not options.get(b"boundary"):
        raise RequestError(400, "the multipart content type names no boundary")
    collector = _Collector()
    names = [name for name in dir(collector) if name.startswith("on_")]
    callbacks = {name: getattr(collector, name) for name in names}
    try:
        MultipartParser(options[b"boundary"], callbacks).write(body)  # type: ignore[arg-type]
    except FormParserError as error:
        raise RequestError(400, "the multipart body is malformed") from error
    if not collector.complete:
        raise RequestError(400, "the multipart body ends before its last boundary")
    return [bytes(part.content) for part in collector.parts if part.is_file]


def single_file(body: bytes, content_type: str) -> bytes:
    """Return the content of the one file field; raises RequestError 400 for none or several."""
    files = file_parts(body, content_type)
    if len(files) != 1:
        raise RequestError(400, f"{len(files)} file fields in the form; expected exactly one")
    return files[0]
