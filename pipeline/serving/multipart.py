"""The files of a multipart/form-data body, taken from memory and kept there."""

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pipeline.serving.refusal import Refusal

MAX_PARTS = 32
MAX_NAME = 100
"""Longest file name that is kept."""


@dataclass(frozen=True, slots=True)
class FormFile:
    """One file field: its name as sent, and its bytes."""

    name: str
    content: bytes


@dataclass(slots=True)
class _Part:
    is_file: bool = False
    name: str = ""
    content: bytearray = field(default_factory=bytearray)


class _Collector:
    """The callbacks of one parse; what is not a file is dropped while it streams by."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.complete = False
        self._name, self._value = bytearray(), bytearray()

    def on_part_begin(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise Refusal(400, "form", f"over {MAX_PARTS} parts in the multipart body")
        self.parts.append(_Part())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self.parts[-1].is_file = b"filename" in options
            self.parts[-1].name = options.get(b"filename", b"").decode("utf-8", "replace")
        self._name, self._value = bytearray(), bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self.parts[-1].is_file:
            self.parts[-1].content += data[start:end]

    def on_end(self) -> None:
        self.complete = True


def form_files(body: bytes, content_type: str) -> list[FormFile]:
    """Return each file field, in order.

    Raises:
        Refusal: 400 if the body is malformed, cut off, or has too many parts.
    """
    _, options = parse_options_header(content_type)
    if not options.get(b"boundary"):
        raise Refusal(400, "form", "the multipart content type names no boundary")
    collector = _Collector()
    names = [name for name in dir(collector) if name.startswith("on_")]
    callbacks = {name: getattr(collector, name) for name in names}
    try:
        MultipartParser(options[b"boundary"], callbacks).write(body)  # type: ignore[arg-type]
    except FormParserError as error:
        raise Refusal(400, "form", "the multipart body is malformed") from error
    if not collector.complete:
        raise Refusal(400, "form", "the multipart body ends before its last boundary")
    files = [part for part in collector.parts if part.is_file]
    return [FormFile(part.name[:MAX_NAME], bytes(part.content)) for part in files]
