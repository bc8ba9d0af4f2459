"""The page in a real browser, with the keyboard alone: type, press the button, see the spans."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import Browser, axe
from tests.serving.running import ServeProcess, predict

TEXT = "ada lovelace visited <b>london</b> & paris"
TAB, ENTER = ("Tab", 9), ("Enter", 13)
VIOLATIONS = """(async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map((one) => [one.id, one.impact, one.nodes.map((node) => node.html).slice(0, 3)]);
})()"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def label(browser: Browser, server: ServeProcess, text: str) -> None:
    """Open the page, type a text, press the button."""
    browser.open(f"http://127.0.0.1:{server.port}/")
    browser.press(*TAB)
    browser.type(text)
    browser.press(*TAB)
    browser.press(*ENTER, opens_page=True)


def test_a_text_is_labelled_by_keyboard(chromium: str, server: ServeProcess, tmp_path: Path):
    with Browser(chromium, tmp_path) as browser:
        label(browser, server, TEXT)
        spans = predict(server.port, inputs=TEXT).json["predictions"][0]["spans"]
        marks = browser.look("[...document.querySelectorAll('mark')].map((one) => one.textContent)")
        assert marks == [span["text"] + span["type"] for span in spans]
        assert len(spans) > 0
        shown = browser.look("document.querySelector('.sentence').textContent")
        for span in spans:
            shown = shown.replace(span["text"] + span["type"], span["text"])
        assert shown == TEXT
        assert browser.look("document.querySelectorAll('tbody tr').length") == len(spans)
        assert browser.look("document.querySelector('textarea').value") == TEXT
        colours = browser.look("[...document.querySelectorAll('mark')].map((one) => [...one.classList][0])")
        types = [span["type"] for span in spans]
        assert len(set(zip(types, colours))) == len(set(types)) == len(set(colours))
        background = browser.look("getComputedStyle(document.querySelector('mark')).backgroundColor")
        assert background not in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)")
        assert {url.split("?")[0] for url in browser.requested} <= {
            f"http://127.0.0.1:{server.port}/",
            f"http://127.0.0.1:{server.port}/favicon.ico",
        }


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark")])
def test_axe_finds_no_serious_problem(chromium: str, server: ServeProcess, tmp_path: Path, width: int, scheme: str):
    script = axe()
    with Browser(chromium, tmp_path, width=width, scheme=scheme) as browser:
        for text in (TEXT, "a" * 2001, "grace " + "x" * 300):
            label(browser, server, text)
            assert browser.look("document.querySelector('details').open = true")
            browser.look(f"{script};0")
            found = browser.look(VIOLATIONS)
            assert [one for one in found if one[1] in ("serious", "critical")] == []
            assert browser.look(OVERFLOW) <= 0
        dark = browser.look("matchMedia('(prefers-color-scheme: dark)').matches")
        assert dark == (scheme == "dark")
