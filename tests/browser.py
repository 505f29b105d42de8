"""Open a page of the project in the installed Chromium, as a reader sees it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.needs("chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, DESK = 390, 1280
# Contrast of each text with the nearest opaque background (WCAG 2.2, 1.4.3).
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = colour => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, below) => top.map((v, i) => i < 3 ? v * top[3] / 255
    + below[i] * (1 - top[3] / 255) : 255);
  const light = c => [0.2126, 0.7152, 0.0722].reduce((sum, weight, i) => {
    const v = c[i] / 255;
    return sum + weight * (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  }, 0);
  const behind = element => {
    const layers = [];
    for (let each = element; each; each = each.parentElement)
      layers.push(rgba(getComputedStyle(each).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 255]);
  };
  const low = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest("title, desc, .skip")) continue;
    const style = getComputedStyle(element), below = behind(element);
    const shown = element instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(over(rgba(shown), below)), light(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${texts.currentNode.data.trim()}: ${ratio.toFixed(2)}`);
  }
  return low;
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the installed Chromium; nothing is downloaded."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield running
        running.close()


class Visit:
    """The page as one reader sees it, with all its requests and console messages."""

    def __init__(self, browser: Browser, report: Path, **reader: Any) -> None:
        reader.setdefault("viewport", {"width": DESK, "height": 900})
        self.context = browser.new_context(offline=True, **reader)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(report.as_uri(), wait_until="load")
        self.requests.remove(report.as_uri())

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def says(self, script: str) -> Any:
        """The result of the script on the page."""
        return self.page.evaluate(script)


def fits(browser: Browser, report: Path, width: int, scheme: Any) -> None:
    """Check that the page fits the width, has enough contrast, and requests nothing."""
    viewport = {"width": width, "height": 844}
    with Visit(browser, report, viewport=viewport, color_scheme=scheme) as visit:
        assert visit.says("document.documentElement.scrollWidth <= innerWidth")
        assert visit.says(CONTRAST) == []
        assert (visit.requests, visit.complaints) == ([], [])
