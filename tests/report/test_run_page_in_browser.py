"""The report in a real browser: it is drawn, fits the screen, and axe-core finds no serious problem."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest

from tests.browser import SCHEMES, Browser, axe
from tests.report.runs import make_run
from tf_tokclf.report.run_page import write_report

WIDTHS = (1200, 400)
VIEWS = [(width, scheme) for width in WIDTHS for scheme in SCHEMES]
VIOLATIONS = """(async () => {
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map((one) => [one.id, one.impact, one.nodes.map((node) => node.html).slice(0, 3)]);
})()"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_run(tmp_path_factory.mktemp("browser") / "example"))


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_report_is_drawn(browser: Browser, report: Path, width: int, scheme: str):
    from PIL import Image

    browser.show(width, scheme)
    browser.open(report.as_uri())
    with Image.open(BytesIO(browser.picture())) as image:
        assert image.width == width
        pixels = image.convert("RGB")
        red, green, blue = pixels.getpixel((2, 2))
        assert (red + green + blue < 200) == (scheme == "dark")
        assert len(pixels.getcolors(maxcolors=1 << 24)) > 50  # text, lines, bars: not a blank page


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_axe_finds_no_serious_problem(browser: Browser, report: Path, width: int, scheme: str):
    script = axe()
    browser.show(width, scheme)
    browser.open(report.as_uri())
    browser.look(f"{script};0")
    assert [one for one in browser.look(VIOLATIONS) if one[1] in ("serious", "critical")] == []
    assert browser.look(OVERFLOW) <= 0
