"""The page in a real browser, using only the keyboard: type, press the button, see the spans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.browser import Browser, axe
from tests.serving.running import ServeProcess, predict
from tf_tokclf.inference.tagger import Tagger
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.labels.sentence import Sentence
from tf_tokclf.serving.limits import Limits
from tf_tokclf.serving.page import Page, Shown

TEXT = "ada lovelace visited <b>london</b> & paris"
TAB, ENTER = ("Tab", 9), ("Enter", 13)
VIOLATIONS = """(async () => {
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map((one) => [one.id, one.impact, one.nodes.map((node) => node.html).slice(0, 3)]);
})()"""
BACKGROUNDS = "[...document.querySelectorAll('mark')].map((one) => getComputedStyle(one).backgroundColor)"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def label(browser: Browser, server: ServeProcess, text: str) -> None:
    """Open the page, type a text, press the button."""
    browser.open(f"http://127.0.0.1:{server.port}/")
    browser.press(*TAB)
    browser.type(text)
    browser.press(*TAB)
    browser.press(*ENTER, opens_page=True)


def test_a_text_is_labelled_by_keyboard(browser: Browser, server: ServeProcess):
    browser.show(1200, "light")
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
    colours = browser.look(BACKGROUNDS)
    types = [span["type"] for span in spans]
    assert len(set(zip(types, colours))) == len(set(types)) == len(set(colours))
    background = browser.look("getComputedStyle(document.querySelector('mark')).backgroundColor")
    assert background not in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)")
    assert {url.split("?")[0] for url in browser.requested} <= {
        f"http://127.0.0.1:{server.port}/",
        f"http://127.0.0.1:{server.port}/favicon.ico",
    }


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark")])
def test_axe_finds_no_serious_problem(browser: Browser, server: ServeProcess, width: int, scheme: str):
    script = axe()
    browser.show(width, scheme)
    for text in (TEXT, "a" * 2001, "grace " + "x" * 300):
        label(browser, server, text)
        assert browser.look("document.querySelector('details').open = true")
        browser.look(f"{script};0")
        found = browser.look(VIOLATIONS)
        assert [one for one in found if one[1] in ("serious", "critical")] == []
        assert browser.look(OVERFLOW) <= 0
    dark = browser.look("matchMedia('(prefers-color-scheme: dark)').matches")
    assert dark == (scheme == "dark")


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark")])
def test_many_types_have_as_many_colours(tagger: Tagger, browser: Browser, tmp_path: Path, width: int, scheme: str):
    script = axe()
    names = tuple(f"B-TYPE{i:02}" for i in range(60))
    labels = LabelSet(("O", *names), Scheme.IOB2)
    sentence = Sentence(tuple(f"word{i}" for i in range(60)))
    tagged = replace(next(tagger.tag([sentence])), labels=names, label_set=labels)
    page = Page("many types", labels, Limits()).render(shown=Shown(tagged, 0.1))
    (tmp_path / "page.html").write_text(page.html, encoding="utf-8")
    browser.show(width, scheme)
    browser.open((tmp_path / "page.html").as_uri())
    backgrounds = browser.look(BACKGROUNDS)
    assert len(backgrounds) == len(set(backgrounds)) == 60
    browser.look(f"{script};0")
    assert browser.look(VIOLATIONS) == []


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (400, "dark")])
def test_the_description_of_the_api_is_accessible(browser: Browser, server: ServeProcess, width: int, scheme: str):
    script = axe()
    browser.show(width, scheme)
    browser.open(f"{server.url}docs")
    assert browser.look("document.querySelector('h1').textContent") == "API"
    # The Content-Security-Policy allows the style of the page.
    assert browser.look("getComputedStyle(document.body).maxWidth") == "960px"
    browser.look(f"{script};0")
    assert browser.look(VIOLATIONS) == []
    assert browser.look(OVERFLOW) <= 0
    assert {url.split("?")[0] for url in browser.requested} <= {f"{server.url}docs", f"{server.url}favicon.ico"}


def test_the_page_leads_to_the_description_and_back(browser: Browser, server: ServeProcess):
    browser.show(1200, "light")
    browser.open(server.url)
    for link, heading in (("docs", "API"), ("./", "model")):
        browser.look(f"document.querySelector('a[href=\"{link}\"]').focus()")
        browser.press(*ENTER, opens_page=True)
        assert heading in browser.look("document.title")
