"""The page, opened from disk in headless Chromium without a network and used as a person would."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chromium import chromium
from playwright.sync_api import Browser, Locator, Page, expect
from reported import HOSTILE_CLASS, HOSTILE_FILE, make_run

from pipeline.core.archive import read_members
from pipeline.core.layout import Layout
from pipeline.core.params import load_params
from pipeline.data.corrections import read_corrections
from stages.report import run

pytestmark = pytest.mark.slow

PHONE, DESKTOP = {"width": 375, "height": 740}, {"width": 1200, "height": 900}
CLASSES = (HOSTILE_CLASS, "dog")
NAMES = (*"abcdefghijklmnopqrstuvwxyz", HOSTILE_FILE, 'c,d "e".jpg')
SHOWN_AT_ONCE = 24


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A run of 27 test images, every third of them wrong; the first has a correction already."""
    made = make_run(tmp_path_factory.mktemp("shown"), CLASSES, names=NAMES)
    made.corrections.write_text("path,action,label\ndog/z,keep,\n")
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    run(replace(params, report=replace(params.report, images_per_panel=64)), made)
    return made


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(browser: Browser, layout: Layout, request: pytest.FixtureRequest) -> Iterator[Page]:
    yield from opened(browser, layout, request.param)


@pytest.fixture
def desktop(browser: Browser, layout: Layout) -> Iterator[Page]:
    yield from opened(browser, layout, DESKTOP)


def opened(browser: Browser, layout: Layout, viewport: dict[str, int]) -> Iterator[Page]:
    """Open the page; fail on any error, on any line in the console and on any request."""
    wrong: list[str] = []
    context = browser.new_context(viewport=viewport, offline=True, accept_downloads=True)
    page = context.new_page()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text))
    url = layout.report.resolve().as_uri()
    page.on("request", lambda asked: None if asked.url.startswith((url, "data:", "blob:"))
            else wrong.append(asked.url))  # fmt: skip
    page.goto(url)
    yield page
    context.close()
    assert wrong == []


def cards(page: Page) -> Locator:
    return page.locator("#gallery .card")


def paths(page: Page) -> list[str]:
    return [card.get_attribute("data-path") or "" for card in cards(page).all()]


def numbers(page: Page, name: str) -> list[float]:
    return [float(card.get_attribute(name) or "nan") for card in cards(page).all()]


def field(page: Page, name: str) -> Locator:
    return page.locator(f"#gallery [name={name}]")


def test_nothing_sticks_out_and_every_picture_has_words(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    pictures = page.locator("main svg[role=img], main img").all()
    assert len(pictures) > 50
    assert (
        page.locator(
            'main svg[role=img]:not([aria-label]), main svg[role=img][aria-label=""]'
        ).count()
        == 0
    )
    assert page.locator("main img:not([alt])").count() == 0
    assert page.locator(".scripted").count() == 0


def test_the_gallery_is_filtered_sorted_and_searched(page: Page) -> None:
    expect(cards(page)).to_have_count(SHOWN_AT_ONCE)
    losses = numbers(page, "data-loss")
    assert losses == sorted(losses, reverse=True)
    page.locator("#gallery .more button").click()
    expect(cards(page)).to_have_count(27)
    field(page, "order").select_option("unsure")
    sure = numbers(page, "data-sure")
    assert sure == sorted(sure)
    field(page, "verdict").select_option("wrong")
    expect(cards(page)).to_have_count(9)  # every third of 27
    field(page, "label").select_option("1")
    assert all(path.startswith("dog/") for path in paths(page))
    field(page, "loss").select_option("3 Infinity")
    expect(cards(page)).to_have_count(0)
    expect(page.locator("#gallery .status")).to_have_text(
        "This page carries no image of that kind."
    )
    page.get_by_role("button", name="Clear").click()
    field(page, "path").fill("SCRIPT>ALERT")
    expect(cards(page).first).to_be_visible()
    assert {path.partition("/")[2] for path in paths(page)} <= {HOSTILE_FILE}


def test_cells_of_the_confusion_matrix_filter_the_gallery(desktop: Page) -> None:
    cell = desktop.locator("#confusion .matrix button[data-label='1'][data-predicted='0']")
    count = int(cell.get_attribute("data-count") or 0)
    cell.click()
    expect(cards(desktop)).to_have_count(count)
    expect(desktop.locator("#gallery .status")).to_have_text(
        f"Such test images: {count}; in this gallery: {count}."
    )
    assert all("dog/" in path for path in paths(desktop))
    part = desktop.locator("#confusion [data-slice]").first
    if part.count():
        part.click()
        expect(field(desktop, "label")).to_have_value("")


def test_everything_goes_by_keyboard(desktop: Page) -> None:
    first = cards(desktop).first
    first.focus()
    desktop.keyboard.press("ArrowRight")
    expect(cards(desktop).nth(1)).to_be_focused()
    desktop.keyboard.press("End")
    expect(cards(desktop).nth(SHOWN_AT_ONCE - 1)).to_be_focused()
    desktop.keyboard.press("Home")
    expect(first).to_be_focused()
    columns = first.evaluate("card => columnsOf(card.parentElement)")
    desktop.keyboard.press("ArrowDown")
    expect(cards(desktop).nth(columns)).to_be_focused()
    desktop.keyboard.press("d")
    expect(cards(desktop).nth(columns).locator("select")).to_have_value("drop")
    desktop.keyboard.press("k")
    expect(cards(desktop).nth(columns).locator("select")).to_have_value("keep")
    desktop.keyboard.press("u")
    expect(desktop.locator("#tray")).to_be_hidden()
    assert not desktop.locator(".veil").first.is_visible()
    desktop.keyboard.press("m")
    assert first.locator(".veil").evaluate("veil => getComputedStyle(veil).visibility") == "visible"
    expect(desktop.locator("#suspects .maps-switch")).to_be_checked()
    desktop.keyboard.press("/")
    expect(field(desktop, "path")).to_be_focused()
    desktop.keyboard.type("dm/")  # in a field keys are letters
    expect(field(desktop, "path")).to_have_value("dm/")
    assert desktop.locator("body.maps").count() == 1


def test_corrections_make_the_round_trip(page: Page, layout: Layout, tmp_path: Path) -> None:
    above = page.locator("#suspects .cards").first.locator(".card")
    suspected = [card.get_attribute("data-path") or "" for card in above.all()]
    assert suspected
    page.locator("#suspects [data-do=suggest]").click()
    others = ['dog/c,d "e".jpg', f"{HOSTILE_CLASS}/{HOSTILE_FILE}"]
    others = [path for path in others if path not in suspected]
    for path in others:
        field(page, "path").fill(path.partition("/")[2])
        at = paths(page).index(path)
        cards(page).nth(at).locator("select").select_option("drop")
    page.reload()  # marks are not lost
    expect(page.locator("#tray")).to_be_visible()
    with page.expect_download() as coming:
        page.locator("#tray [data-do=download]").click()
    assert coming.value.suggested_filename == "corrections.csv"
    coming.value.save_as(tmp_path / "corrections.csv")
    handed = read_corrections(tmp_path / "corrections.csv", read_members(layout.raw_archive))
    other = {CLASSES[0]: CLASSES[1], CLASSES[1]: CLASSES[0]}
    assert handed.relabel == {path: other[path.partition("/")[0]] for path in suspected}
    assert handed.keep == {"dog/z"}  # the row that was there
    assert len(handed.drop) == len(others)
    text = page.locator("#handback textarea").input_value()
    assert text == (tmp_path / "corrections.csv").read_bytes().decode()
    page.locator("[data-do=forget]").click()
    expect(page.locator("#tray")).to_be_hidden()
    expect(page.locator("#handback textarea")).to_have_value("path,action,label\ndog/z,keep,\n")


def test_a_copy_that_was_set_aside_can_be_kept(desktop: Page) -> None:
    tile = desktop.locator("#data .tile")
    expect(tile).to_have_count(1)
    tile.locator("select").select_option("keep")
    expect(desktop.locator("#tray-count")).to_have_text("1 correction to hand back")
    assert (
        f"{CLASSES[0]}/copy of a.jpg".replace('"', '""')
        in desktop.locator("#handback textarea").input_value()
    )


def test_text_stands_out_in_both_themes(browser: Browser, layout: Layout) -> None:
    # WCAG 2.1, 1.4.3: a contrast of 4.5 to 1 for text, of every colour that text has here.
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport=DESKTOP, color_scheme=scheme)  # type: ignore[arg-type]
        shown = context.new_page()
        shown.goto(layout.report.resolve().as_uri())
        tokens = shown.evaluate(
            """() => { const s = getComputedStyle(document.documentElement);
            const names = ["paper", "surface", "sunk", "ink", "quiet", "accent", "wrong"];
            return Object.fromEntries(names.map(n => [n, s.getPropertyValue("--" + n).trim()])) }"""
        )
        for text in ("ink", "quiet", "accent", "wrong"):
            for ground in ("paper", "surface"):
                assert contrast(tokens[text], tokens[ground]) >= 4.5, (scheme, text, ground)
        assert contrast(tokens["quiet"], tokens["sunk"]) >= 4.5
        context.close()


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours `#rrggbb` (WCAG 2.1, relative luminance)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
