"""Requests that nobody in good faith would send, as bytes for a socket."""

import random
from collections.abc import Iterator

from imaging.dirty import collection

BOUNDARY = b"bound"


def post(body: bytes, *headers: bytes, path: bytes = b"/predict", length: bool = True) -> bytes:
    """Return a POST with the headers given, and a true Content-Length unless told otherwise."""
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: x", *headers]
    if length:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", b""]) + body


def part(content: bytes, disposition: bytes = b'form-data; name="a"; filename="a"') -> bytes:
    """Return one part of a form."""
    head = b"--" + BOUNDARY + b"\r\nContent-Disposition: " + disposition + b"\r\n\r\n"
    return head + content + b"\r\n"


FORM = b"Content-Type: multipart/form-data; boundary=" + BOUNDARY
END = b"--" + BOUNDARY + b"--\r\n"


def requests(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes): hostile in HTTP itself, in forms, in headers, in tensors."""
    yield from _lines(good)
    yield from _lengths(good)
    yield from _headers(good)
    yield from _forms(good)
    yield from _tensors()


def bodies() -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes): every dirty image as a body, and every third in a form too."""
    for number, dirty in enumerate(collection()):
        yield f"body {dirty.name}", post(dirty.content)
        if number % 3 == 0:
            yield f"form {dirty.name}", post(part(dirty.content) + END, FORM)


def fuzzed(images: list[bytes], n: int, *, seed: int) -> Iterator[bytes]:
    """Yield n images with bytes changed, cut out, doubled or cut off."""
    rng = random.Random(seed)
    for _ in range(n):
        content = bytearray(rng.choice(images))
        for _ in range(rng.choice((1, 1, 2, 8, 40))):
            at, size = rng.randrange(len(content)), rng.choice((1, 1, 4, 64))
            how = rng.randrange(5)
            if how == 0:
                content[at] ^= 1 << rng.randrange(8)
            elif how == 1:
                content[at : at + size] = rng.randbytes(size)
            elif how == 2 and len(content) > 2 * size:
                del content[at : at + size]
            elif how == 3:
                content[at:at] = content[at : at + size]
            elif len(content) > 20 and rng.random() < 0.3:
                del content[rng.randrange(10, len(content)) :]
        yield bytes(content)


def _lines(good: bytes) -> Iterator[tuple[str, bytes]]:
    tail = b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    paths = (b"/../../etc/passwd", b"/%2e%2e/%2e%2e/x", b"//", b"/\\", b"/predict/", b"/predict%00")
    more = (
        b"/" + b"a" * 5000,
        b"/%",
        b"/%zz",
        b"/%ff%fe",
        b"*",
        b"http://other/predict",
        b"?",
        b"x",
    )
    odd = (b"/predict?" + b"cam=1&" * 3000, b"/predict?cam=%00", b"/v2/models/%2e%2e/infer")
    for path in (*paths, *more, *odd, b"/v2/models//infer", b"/v2/models/a/versions/-1"):
        yield f"path {path[:20]!r}", b"POST " + path + tail
        yield f"get {path[:20]!r}", b"GET " + path + tail
    for method in (b"PUT", b"DELETE", b"PATCH", b"TRACE", b"HEAD", b"OPTIONS", b"CONNECT", b"G\0T"):
        yield f"method {method!r}", method + b" /predict" + tail
    for line in (
        *(b"", b"\r\n\r\n", b"\0" * 100, b"hello\r\n\r\n", b"GET\r\n\r\n", b"GET /\r\n\r\n"),
        *(b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET  /  HTTP/1.1\r\n\r\n"),
        *(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        *(b"GET / HTTP/1.0\r\n\r\n", b"get / http/1.1\r\n\r\n", b"GET / HTTP/1.1\nHost: x\n\n"),
    ):
        yield f"line {line[:20]!r}", line
    yield "pipelined", post(good) * 5
    yield "pipelined after an error", post(b"") + post(good)
    yield "a thousand pipelined", b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n" * 1000


def _lengths(good: bytes) -> Iterator[tuple[str, bytes]]:
    for value in (
        b"-1",
        b"x",
        b"1e3",
        b"0x10",
        b"+5",
        b"9" * 40,
        b"",
        b"1, 1",
        b"5 5",
        b"1099511627776",
    ):
        yield f"length {value!r}", post(good, b"Content-Length: " + value, length=False)
    yield "two lengths", post(good, b"Content-Length: 3")
    yield "length and chunked", post(good, b"Transfer-Encoding: chunked")
    for coding in (
        b"gzip, chunked",
        b"xchunked",
        b"chunked, chunked",
        b"identity",
        b"",
        b"chunked\x0b",
    ):
        header = b"Transfer-Encoding: " + coding
        yield f"coding {coding!r}", post(b"0\r\n\r\n", header, length=False)
    chunked = b"Transfer-Encoding: chunked"
    for chunk in (
        *(
            b"zz\r\n",
            b"-1\r\n",
            b"fffffffffffffffff\r\n",
            b"5\r\nabc",
            b"0\r\n",
            b"1\r\na\r\n0\r\n\r\n",
        ),
        *(b"3;x=" + b"y" * 9000 + b"\r\nabc\r\n0\r\n\r\n", b"1\r\na\r\n" * 3000 + b"0\r\n\r\n"),
        b"0\r\nTrailer: x\r\n\r\n",
    ):
        yield f"chunk {chunk[:15]!r}", post(chunk, chunked, length=False)
    yield "no length at all", post(good, length=False)


def _headers(good: bytes) -> Iterator[tuple[str, bytes]]:
    for header in (
        *(
            b"X: " + b"a" * 60_000,
            b"X: \x00",
            b"X\x00: a",
            b": a",
            b"X : a",
            b"X",
            b" X: a",
            b"X: \xff",
        ),
        *(b"Expect: 100-continue", b"Expect: 200-ok", b"Connection: upgrade\r\nUpgrade: websocket"),
        *(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c", b"Connection: close", b"Host: y"),
        *(
            b"Content-Encoding: gzip",
            b"Content-Encoding: x",
            b"Content-Encoding: " + b"gzip," * 999,
        ),
        *(
            b"X-Request-ID: " + b"z" * 500,
            b"X-Request-ID: a\tb",
            b"Authorization: \xff",
            b"Range: bytes=0-",
        ),
        *(b"Content-Type: " + kind for kind in KINDS),
    ):
        yield f"header {header[:30]!r}", post(good, header)
    yield "ten thousand headers", post(good, *(b"X-%d: a" % i for i in range(10_000)))
    yield "endless header", b"GET / HTTP/1.1\r\nX: " + b"a" * 300_000


KINDS = (
    *(b"", b";", b"image", b"image/png; charset=x", b"text/html", b"application/json"),
    *(
        b"application/x-www-form-urlencoded",
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
    ),
    *(b"multipart/form-data; boundary=" + b"b" * 300, b'multipart/form-data; boundary="'),
    *(b"multipart/mixed; boundary=b", b"multipart/form-data; boundary*=UTF-8''%ff", b"\xff/\xff"),
)


def _forms(good: bytes) -> Iterator[tuple[str, bytes]]:
    file = part(good)
    dispositions = (
        *(b"", b"form-data", b'form-data; filename="a"', b'attachment; filename="../../x"'),
        *(
            b'form-data; name="a"; filename="' + b"n" * 3000 + b'"',
            b"form-data; filename*=UTF-8''%ff",
        ),
        *(
            b'form-data; name="a"; filename="\xff\xfe"',
            b"form-data; filename=\x00",
            b'form-data; filename="',
        ),
    )
    for body in (
        *(
            b"",
            END,
            file,
            file[:-2],
            b"\r\n" + file + END,
            b"x" * 9000 + file + END,
            file * 2 + END,
        ),
        *(file * 17 + END, part(b"", b"form-data") * 40 + END, file + END + b"epilogue" * 999),
        *(b"\r\n" * 50_000 + file + END, b"--" * 50_000 + END, file.replace(b"\r\n", b"\n") + END),
        *(b"--bound\r\n" * 5000 + END, b"--bound\r\n" + b"A: b\r\n" * 5000 + b"\r\n" + END),
        *(b"--bound\r\nContent-Disposition\r\n\r\n" + END, b"--bound\r\n: \r\n\r\nx\r\n" + END),
        *(part(good, disposition) + END for disposition in dispositions),
    ):
        yield f"form {body[:20]!r} {len(body)}", post(body, FORM)


def _tensors() -> Iterator[tuple[str, bytes]]:
    path = b"/v2/models/classifier/infer"
    for body in (
        *(b"", b"{", b"[" * 200_000, b'{"inputs":' * 20_000, b"[1]", b"null", b'{"inputs":[{}]}'),
        *(
            b'{"inputs":[{"name":"pixels","shape":[1e999],"datatype":"UINT8"}]}',
            b"NaN",
            b"1" * 9000,
        ),
        *(b'{"id":"' + b"\\u0000" * 50 + b'","inputs":[]}', b'"\xff"', b'{"a":1,"a":2}', b"\0"),
        b'{"inputs":[{"name":"pixels","datatype":"UINT8","shape":[1,16,16,3],"data":['
        + b",".join([b"1e400"] * 768)
        + b"]}]}",
    ):
        yield f"tensor {body[:20]!r}", post(body, path=path)
        for length in (b"0", b"2", b"-1", b"99999999999999999999", b"\xff"):
            header = b"Inference-Header-Content-Length: " + length
            yield f"tensor {body[:20]!r} {length!r}", post(body, header, path=path)
