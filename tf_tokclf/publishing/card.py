"""The model card: its contents, and how they are rendered as Markdown with metadata."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tf_tokclf.config.references import is_package_reference
from tf_tokclf.control_characters import plain_text
from tf_tokclf.counted import counted
from tf_tokclf.encoding.model_folders import looks_like_hub_id, public_name
from tf_tokclf.errors import UserError, first_line
from tf_tokclf.labels.schemes import Scheme
from tf_tokclf.report.table_formats import markdown_text, percent

if TYPE_CHECKING:
    import jinja2
    from huggingface_hub import EvalResult

TEMPLATE = "model_card.md.jinja"


@dataclass(frozen=True)
class Score:
    """A row of the table of scores. interval: in percent, as text."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    interval: str = ""


@dataclass(frozen=True)
class SplitScores:
    """The scores of a split. rows: all types together first, then each type."""

    name: str
    n_sentences: int
    n_words: int
    unit: str
    mode: str | None
    scheme: str
    rows: tuple[Score, ...]
    token_accuracy: float
    facts: tuple[str, ...]

    @property
    def has_intervals(self) -> bool:
        return any(row.interval for row in self.rows)


@dataclass(frozen=True)
class Card:
    """The contents of a model card. Parts with empty values are left out."""

    reference: str
    finished: bool = True
    task: str = ""
    base_model: str = ""
    dataset_name: str = ""
    dataset_id: str = ""
    dataset_config: str | None = None
    dataset_revision: str | None = None
    headline: str = ""
    scores: tuple[SplitScores, ...] = ()
    spread: str = ""
    data: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    scheme: str = ""
    reading: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    history: tuple[dict[str, Any], ...] = ()
    n_epochs: int | None = None
    limits: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    license: str | None = None
    language: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sections: Mapping[str, str] = field(default_factory=dict)

    @property
    def aggregation(self) -> str:
        """The aggregation_strategy for transformers' pipeline: "first", or "none" for labels without spans."""
        return "none" if self.scheme == Scheme.NONE.value else "first"

    @property
    def base_model_link(self) -> str:
        """The encoder, with a link if it is on the Hub."""
        if _is_hub_model(self.base_model):
            return f"[{markdown_text(self.base_model)}](https://huggingface.co/{quote(self.base_model)})"
        return code_span(public_name(self.base_model))


def render(card: Card, *, template: str | None = None) -> str:
    """The card as Markdown with metadata.

    template: a Jinja file to use instead of the default one. With `{% extends "model_card.md.jinja" %}` it can replace
    single blocks.
    """
    title = card.reference.split("/")[-1]
    with _template_errors(template):
        found = _find_template(template)
        return found.render(card=card, title=title, metadata=metadata(card))


def check_template(template: str) -> None:
    """Raise UserError if the template does not exist or is not valid Jinja. Call it before training."""
    with _template_errors(template):
        _find_template(template)


def _find_template(template: str | None) -> jinja2.Template:
    import jinja2
    from jinja2.sandbox import SandboxedEnvironment

    loaders: list[jinja2.BaseLoader] = [jinja2.PackageLoader("tf_tokclf.publishing", "templates")]
    name = TEMPLATE
    if template:
        path = Path(template)
        if not path.exists() or path.is_dir():
            raise UserError("this template does not exist.", path=path, hint="Correct hub.card.template.")
        name, text = path.name, path.read_text(encoding="utf-8")
        # Only this file can be loaded, not other files in its folder.
        loaders.insert(0, jinja2.FunctionLoader(lambda wanted: (text, str(path), None) if wanted == name else None))
    # A template may come with a configuration from somebody else. It can access the card, but nothing else in Python.
    environment = SandboxedEnvironment(
        loader=jinja2.ChoiceLoader(loaders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"plain": plain_markdown, "cell": table_cell, "code": code_span}
    environment.filters |= {"quoted": quoted, "shell": lambda text: shlex.quote(plain_text(text))}
    environment.filters |= {"percent": percent, "counted": counted}
    environment.filters["shown"] = lambda value: f"{value:.4g}" if isinstance(value, float) else str(value)
    return environment.get_template(name)


def plain_markdown(text: str) -> str:
    """Text on one line, with HTML escaped and without control characters, which names and labels may contain.

    >>> plain_markdown("labels: <b>B-LOC</b>")
    'labels: &lt;b&gt;B-LOC&lt;/b&gt;'
    """
    return _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def table_cell(text: str) -> str:
    """A name as plain text in a table, with Markdown and HTML escaped.

    >>> print(table_cell("a|b[c](d)"), table_cell("<b>"))
    a\\|b\\[c\\](d) &lt;b&gt;
    """
    return markdown_text(plain_markdown(text))


def code_span(text: str) -> str:
    """A name as inline code. It stands between more backticks than any run of backticks in it.

    >>> print(code_span("B-LOC"), code_span("a`b"))
    `B-LOC` `` a`b ``
    """
    text = _one_line(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"{fence}{text}{fence}"


def quoted(text: str) -> str:
    """Text as a Python string literal, without control characters.

    >>> print(quoted('say "hi"'))
    "say \\"hi\\""
    """
    return json.dumps(plain_text(text), ensure_ascii=False)


def _one_line(text: str) -> str:
    return plain_text(" ".join(str(text).split()))


@contextmanager
def _template_errors(template: str | None) -> Iterator[None]:
    import jinja2

    try:
        yield
    except jinja2.TemplateError as error:
        line = getattr(error, "lineno", None)
        raise UserError(f"{error}.", path=template, line=line, hint="Correct the card's template.") from error
    except (OSError, UnicodeDecodeError) as error:
        problem = f"cannot be read: {first_line(error)}."
        raise UserError(problem, path=template, hint="Correct hub.card.template.") from error


def metadata(card: Card) -> str:
    """The YAML metadata of the card, created and checked by huggingface_hub."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        language=list(card.language) or None,
        license=card.license,
        library_name="transformers",
        tags=["token-classification", "tf-tokclf", "tf-keras", *card.tags],
        base_model=card.base_model if _is_hub_model(card.base_model) else None,
        datasets=[card.dataset_id] if card.dataset_id else None,
        pipeline_tag="token-classification",
        metrics=["precision", "recall", "f1", "accuracy"] if card.scores else None,
        model_name=card.reference.split("/")[-1],
        eval_results=eval_results(card) or None,
        widget=[{"text": example} for example in card.examples] or None,
    )
    return plain_text(data.to_yaml().strip())


def eval_results(card: Card) -> list[EvalResult]:
    """The overall scores of each split for the Hub's model-index."""
    from huggingface_hub import EvalResult

    results = []
    for split in card.scores:
        overall = split.rows[0]
        mode = f" ({split.mode})" if split.mode else ""
        values = [
            ("precision", f"Precision{mode}", overall.precision),
            ("recall", f"Recall{mode}", overall.recall),
            ("f1", f"F1{mode}", overall.f1),
            ("accuracy", "Token accuracy", split.token_accuracy),
        ]
        results += [
            EvalResult(
                task_type="token-classification",
                task_name="Token Classification",
                dataset_type=card.dataset_id or _slug(card.dataset_name),
                dataset_name=card.dataset_name,
                dataset_config=card.dataset_config,
                dataset_revision=card.dataset_revision,
                dataset_split=split.name,
                metric_type=kind,
                metric_name=name,
                metric_value=round(value, 6),
            )
            for kind, name, value in values
        ]
    return results


def _is_hub_model(name: str) -> bool:
    return bool(name) and not is_package_reference(name) and looks_like_hub_id(name) and not Path(name).exists()


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-") or "own-data"
