"""The page, used as a person would, in headless Chromium."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from serving.models import full_model, put

pytestmark = pytest.mark.slow

Draw = Callable[..., bytes]
KEY = "0123456789abcdef0123"
PHONE, DESKTOP = {"width": 375, "height": 740}, {"width": 1200, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, start: Any) -> Iterator[Any]:
    model = full_model(threshold=0.7, accuracy="0.982", data="2,383 images")
    path = put(tmp_path_factory.mktemp("paged") / "model.onnx", model)
    with start(["-m", "pipeline.serving", "--model", str(path), "--port", "0"]) as running:
        yield running


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(browser: Browser, server: Any, request: pytest.FixtureRequest) -> Iterator[Page]:
    with opened(browser, server.url, viewport=request.param) as page:
        yield page


class opened:
    """A page that fails the test on any error of its own, and on any request elsewhere."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self._context = browser.new_context(**options)
        self._url, self._wrong = url, list[str]()

    def __enter__(self) -> Page:
        page = self._context.new_page()
        page.on("pageerror", lambda error: self._wrong.append(str(error)))
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("request", lambda asked: self._check(asked.url))
        page.goto(self._url)
        return page

    def _hear(self, kind: str, text: str) -> None:
        if kind == "error" and "status of 4" not in text:  # refusals are told as errors
            self._wrong.append(text)

    def _check(self, url: str) -> None:
        if not url.startswith((self._url, "blob:")):
            self._wrong.append(url)

    def __exit__(self, *_: object) -> None:
        self._context.close()
        assert self._wrong == []


def file(name: str, content: bytes) -> Any:
    return {"name": name, "mimeType": "image/png", "buffer": content}


def corner_png(size: tuple[int, int] = (320, 240)) -> bytes:
    image = Image.new("RGB", size, (30, 30, 40))
    image.paste((110, 0, 0), (size[0] // 2, 0, size[0], size[1] // 2))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_chosen_images_get_bars_unsure_and_refusals(page: Page, draw: Draw) -> None:
    files = [
        file("red <i>.png", draw((96, 0, 0), (300, 200))),
        file("dim.png", draw((20, 0, 0), (100, 300))),
        file("text.png", b"nonsense"),
    ]
    page.set_input_files("#file", files)
    expect(page.locator("#status")).to_have_text("3 images done")
    results = page.locator(".result")
    expect(results).to_have_count(3)
    red = results.filter(has_text="red <i>.png")
    expect(red.locator(".label")).to_have_text("red")
    expect(red.locator("dt")).to_have_text(["red", "blue", "green"])
    expect(red.locator("dd").first).to_have_text("90.9 %")
    width = red.locator(".fill").first.evaluate("n => n.clientWidth / n.parentNode.clientWidth")
    assert width == pytest.approx(0.909, abs=0.02)
    expect(red.locator(".time")).to_contain_text("ms in all: decoding")
    expect(red.locator("img")).to_have_attribute("alt", "classified as red")
    dim = results.filter(has_text="dim.png")
    expect(dim.locator(".unsure")).to_have_text("unsure")
    expect(red.locator(".unsure")).to_have_count(0)
    refused = results.filter(has_text="text.png").locator(".label")
    expect(refused).to_contain_text("Refused: not an image in one of the formats")
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, "the page is wider than the screen"


def test_the_heat_map_lies_where_the_class_is(page: Page) -> None:
    page.set_input_files("#file", [file("corner.png", corner_png())])
    canvas, image = page.locator(".frame canvas"), page.locator(".frame img")
    expect(canvas).to_be_visible()
    page.wait_for_function("document.querySelector('.frame canvas').clientWidth > 50")
    assert canvas.bounding_box() == pytest.approx(image.bounding_box(), abs=1)
    alpha = (
        "n => [...n.getContext('2d').getImageData(0, 0, 4, 4).data].filter((_, i) => i % 4 == 3)"
    )
    cells = canvas.evaluate(alpha)
    right_top = [cells[row * 4 + column] for row in (0, 1) for column in (2, 3)]
    elsewhere = [cells[row * 4 + column] for row in (2, 3) for column in (0, 1)]
    assert min(right_top) > 200
    assert max(elsewhere) < 160
    page.locator("#cam").uncheck()
    expect(canvas).to_be_hidden()


def test_an_image_is_dropped_and_one_is_pasted(page: Page, draw: Draw) -> None:
    hand_over = """([kind, key, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], kind + ".png", {type: "image/png"}));
        document.dispatchEvent(kind === "drop"
            ? new DragEvent("drop", {dataTransfer: transfer, cancelable: true})
            : new ClipboardEvent("paste", {clipboardData: transfer}));
    }"""
    for kind, colour, label in (("drop", (0, 96, 0), "green"), ("paste", (0, 0, 96), "blue")):
        page.evaluate(hand_over, [kind, "", list(draw(colour))])
        result = page.locator(".result", has_text=f"{kind}.png")
        expect(result.locator(".label")).to_have_text(label)


def test_the_card_tells_about_the_model(page: Page) -> None:
    expect(page.locator("#classes")).to_have_text("Tells blue, green and red.")
    page.locator("summary").click()
    facts = page.locator("#facts")
    for text in ("classifier, version 1", "70.0 %", "CPU", "accuracy", "0.982", "16 × 16"):
        expect(facts).to_contain_text(text)


def test_a_photograph_can_be_taken_where_there_is_a_touch_screen(
    browser: Browser, server: Any
) -> None:
    with opened(browser, server.url, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        expect(page.locator("#camera")).to_be_visible()
        assert page.locator("#photo").get_attribute("capture") == "environment"
    with opened(browser, server.url, viewport=DESKTOP) as page:
        expect(page.locator("#camera")).to_be_hidden()


def test_a_server_with_keys_is_asked_with_one(
    browser: Browser, start: Any, tmp_path: Path, draw: Draw
) -> None:
    (tmp_path / "keys").write_text(KEY)
    model = put(tmp_path / "model.onnx", full_model(cam=False))
    command = ["-m", "pipeline.serving", "--model", str(model), "--port", "0"]
    with (
        start([*command, "--api-key-file", str(tmp_path / "keys")]) as server,
        opened(browser, server.url, viewport=PHONE) as page,
    ):
        expect(page.locator("#status")).to_have_text("This server wants an API key.")
        page.set_input_files("#file", [file("red.png", draw((96, 0, 0)))])
        page.locator("#key").fill("wrong")
        page.get_by_role("button", name="Use key").click()
        expect(page.locator("#status")).to_have_text("That key was not accepted.")
        page.locator("#key").fill(KEY)
        page.get_by_role("button", name="Use key").click()
        expect(page.locator(".label")).to_have_text("red")
        expect(page.locator("#cam-choice")).to_be_hidden()


def test_the_page_follows_the_dark_theme(browser: Browser, server: Any) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        with opened(browser, server.url, color_scheme=scheme) as page:
            colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
            shades[scheme] = sum(map(int, colour.removeprefix("rgb(").rstrip(")").split(",")))
    assert shades["light"] > 600 > 150 > shades["dark"]
