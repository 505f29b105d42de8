"""The report page in a real Chromium: offline, on a phone, in dark mode, in print."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from browser import CONTRAST, DESK, PHONE, Visit, chromium, fits, needs_chromium
from conftest import BakedProject

SECTIONS = "gate metrics curves slices importance candidates data features card versions".split()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def report(small: BakedProject) -> Path:
    """The page of the small project."""
    return small.path / "reports/index.html"


@needs_chromium
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_asks_for_nothing_and_fits_the_screen(
    width: int, scheme: Any, browser: Browser, report: Path
) -> None:
    fits(browser, report, width, scheme)
    with Visit(browser, report) as visit:
        assert visit.says("[...document.querySelectorAll('section')].map(e => e.id)") == SECTIONS


@needs_chromium
def test_too_low_contrast_is_detected(browser: Browser, report: Path) -> None:
    with Visit(browser, report) as visit:
        visit.page.evaluate("document.body.style.setProperty('--muted', '#aaa')")
        assert visit.says(CONTRAST) != []


@needs_chromium
def test_every_picture_has_a_name_and_tells_its_figures(browser: Browser, report: Path) -> None:
    with Visit(browser, report) as visit:
        snapshot = visit.page.locator("body").aria_snapshot()
        pictures = visit.page.locator("svg").count()
        assert pictures == visit.page.get_by_role("img").count()
        assert pictures == snapshot.count('img "')
        described = visit.says(
            "[...document.querySelectorAll('figure svg desc')].map(e => e.textContent)"
        )
        assert len(described) == visit.page.locator("figure svg").count()
        assert all(any(letter.isdigit() for letter in text) for text in described)


@needs_chromium
def test_dark_mode_turns_the_page_and_its_plots(browser: Browser, report: Path) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        with Visit(browser, report, color_scheme=scheme) as visit:
            colours[scheme] = visit.says(
                """() => ["body", "section", "figure svg text", "figure svg path[style*=stroke]"]
                .map(name => getComputedStyle(document.querySelector(name)))
                .map(style => [style.backgroundColor, style.color, style.fill, style.stroke])"""
            )
    assert all(a != b for a, b in zip(colours["light"], colours["dark"], strict=True))


@needs_chromium
def test_paper_shows_all_but_the_navigation_on_white(browser: Browser, report: Path) -> None:
    with Visit(browser, report, color_scheme="dark") as visit:
        visit.page.emulate_media(media="print")
        hidden = visit.says(
            """() => [...document.querySelectorAll("body *")].filter(e =>
            !e.closest("nav, .skip, svg") && e.textContent.trim() && !e.getClientRects().length)
            .map(e => e.outerHTML.slice(0, 80))"""
        )
        assert hidden == []
        assert visit.says("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert visit.says("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert visit.says(CONTRAST) == []
        assert visit.page.pdf()[:5] == b"%PDF-"


@needs_chromium
def test_wide_tables_scroll_in_their_own_box(browser: Browser, report: Path) -> None:
    with Visit(browser, report, viewport={"width": 240, "height": 844}) as visit:
        boxes = visit.says(
            """() => [...document.querySelectorAll(".scroll")].map(e =>
            [e.scrollWidth > e.clientWidth, getComputedStyle(e).overflowX, e.tabIndex,
             e.getAttribute("aria-label")])"""
        )
        assert any(wide for wide, *_ in boxes)
        assert all(flow == "auto" and place == 0 and label for _, flow, place, label in boxes)


@needs_chromium
def test_long_names_many_classes_and_unknown_values_fit_a_phone(
    browser: Browser, small: BakedProject, tmp_path: Path
) -> None:
    copy = small.copy(tmp_path / small.path.name)
    long, unknown = "long" * 15, {"value": None, "low": None, "high": None}
    names = [f"{long}{place}" for place in range(8)]
    pairs = [(actual, guess) for actual in names for guess in names]
    cells = [{"actual": one, "predicted": two, "rows": 1} for one, two in pairs]
    (copy.path / "reports/plots/confusion.json").write_text(json.dumps(cells), encoding="utf-8")
    changes: dict[str, Any] = {"models/model.json": {"classes": names}}
    slices = [{"column": long, "slice": name, "rows": 9, **unknown} for name in names]
    line = {"mean": None, "standard_error": None, "features": 1, "bytes": 1}
    candidates = [{"candidate": name, **line} for name in names]
    changes["reports/selection.json"] = {"candidates": candidates, "candidate": names[0]}
    for path, change in changes.items():
        document = json.loads((copy.path / path).read_text(encoding="utf-8"))
        (copy.path / path).write_text(json.dumps(document | change), encoding="utf-8")
    (copy.path / "reports/slices.json").write_text(json.dumps(slices), encoding="utf-8")
    copy.run("python", "-m", copy.path.name, "card")
    report = copy.path / "reports/index.html"
    with Visit(browser, report, viewport={"width": PHONE, "height": 844}) as visit:
        assert visit.says("document.documentElement.scrollWidth <= innerWidth")
        assert visit.page.get_by_text(f"Actual {names[7]}").count() == 1


@needs_chromium
def test_links_lead_to_sections_and_files_that_exist(browser: Browser, report: Path) -> None:
    with Visit(browser, report) as visit:
        links = visit.says("[...document.querySelectorAll('a')].map(e => e.getAttribute('href'))")
        anchors = visit.says("[...document.querySelectorAll('[id]')].map(e => '#' + e.id)")
    assert {link for link in links if link.startswith("#")} <= set(anchors)
    files = [link for link in links if not link.startswith("#")]
    assert files and all((report.parent / link).is_file() for link in files)


@needs_chromium
def test_a_script_in_the_page_would_not_run(browser: Browser, report: Path, tmp_path: Path) -> None:
    planted = tmp_path / "index.html"
    text = report.read_text(encoding="utf-8")
    script = "<script>document.title = 'run'</script></main>"
    planted.write_text(text.replace("</main>", script), encoding="utf-8")
    with Visit(browser, planted) as visit:
        assert visit.page.title() == "Model report: late"
        assert "Content Security Policy" in " ".join(visit.complaints)


def test_the_page_is_small_and_the_same_bytes_wherever_it_is_made(
    small: BakedProject, tmp_path: Path
) -> None:
    copy = small.copy(tmp_path / small.path.name)
    before = (copy.path / "reports/index.html").read_bytes()
    assert len(before) < 300_000
    home = tmp_path / "home"
    home.mkdir()
    settings = home / "matplotlibrc"
    settings.write_text("lines.linewidth: 9\nsvg.fonttype: path\n", encoding="utf-8")
    strange = {"HOME": str(home), "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "3"}
    strange |= {"MATPLOTLIBRC": str(settings), "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""}
    BakedProject(copy.path, copy.environment | strange).run(
        "python", "-m", f"{copy.path.name}", "card"
    )
    assert (copy.path / "reports/index.html").read_bytes() == before
    assert [path.name for path in home.iterdir()] == ["matplotlibrc"]
    assert copy.run("git", "status", "--short").stdout == ""


def test_the_page_needs_no_writable_home(small: BakedProject, tmp_path: Path) -> None:
    copy = small.copy(tmp_path / small.path.name)
    nowhere = os.fspath(tmp_path / "file" / "home")
    (tmp_path / "file").touch()
    inherited = {name: value for name, value in copy.environment.items() if "XDG" not in name}
    done = subprocess.run(
        ["python", "-m", f"{copy.path.name}", "card"],
        cwd=copy.path,
        env=inherited | {"HOME": nowhere},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert copy.run("git", "status", "--short").stdout == ""
