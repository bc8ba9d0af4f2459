"""The report in a real browser: it is drawn, fits the screen, and axe-core finds no serious problem."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from pathlib import Path

import pytest

from tests.browser import FLAGS, SCHEMES, axe
from tests.report.runs import make_run
from tests.waiting import LIMIT_S
from tf_tokclf.report.run_page import write_report

WIDTHS = (1200, 400)
VIEWS = [(width, scheme) for width in WIDTHS for scheme in SCHEMES]

CHECK = """<script>
addEventListener("load", async () => {
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  const found = await axe.run(document, {resultTypes: ["violations"]});
  const result = {
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    background: getComputedStyle(document.body).backgroundColor,
    problems: found.violations.map((v) => ({id: v.id, impact: v.impact, where: v.nodes.map((n) =>
    n.html).slice(0, 3)})),
  };
  const place = document.createElement("pre");
  place.id = "axe";
  place.textContent = JSON.stringify(result);
  document.body.append(place);
});
</script>"""


@pytest.fixture(scope="session")
def report(tmp_path_factory) -> Path:
    return write_report(make_run(tmp_path_factory.mktemp("browser") / "example"))


def browse(chromium: str, page: Path, folder: Path, width: int, scheme: str, *arguments: str) -> str:
    command = [
        chromium,
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},2400",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        *arguments,
        page.as_uri(),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=True).stdout


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_report_is_drawn(chromium, report, tmp_path, width, scheme):
    from PIL import Image

    picture = tmp_path / "report.png"
    browse(chromium, report, tmp_path, width, scheme, f"--screenshot={picture}")
    with Image.open(picture) as image:
        assert image.width == width
        pixels = image.convert("RGB")
        red, green, blue = pixels.getpixel((2, 2))
        assert (red + green + blue < 200) == (scheme == "dark")
        assert len(pixels.getcolors(maxcolors=1 << 24)) > 50  # text, lines, bars: not a blank page


@pytest.mark.parametrize(("width", "scheme"), VIEWS)
def test_axe_finds_no_serious_problem(chromium, report, tmp_path, width, scheme):
    script = f"<script>{axe()}</script>{CHECK}</body>"
    text = report.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    page = tmp_path / "checked.html"
    page.write_text(text.replace("</body>", script), encoding="utf-8")
    dom = browse(chromium, page, tmp_path, width, scheme, "--virtual-time-budget=20000", "--dump-dom")
    found = re.search(r'<pre id="axe">(.*?)</pre>', dom, re.DOTALL)
    assert found, "axe did not finish"
    result = json.loads(unescape(found.group(1)))
    assert [one for one in result["problems"] if one["impact"] in ("serious", "critical")] == []
    assert result["overflow"] <= 0
