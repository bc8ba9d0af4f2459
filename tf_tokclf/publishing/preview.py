"""Find out what a push would make public, without a request to the Hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tf_tokclf.config.loading import load_config
from tf_tokclf.counted import counted
from tf_tokclf.encoding.model_config import saved_labels
from tf_tokclf.encoding.model_folders import public_name
from tf_tokclf.publishing.card import Card, render
from tf_tokclf.publishing.hub_repository import check_revision, files_to_push
from tf_tokclf.publishing.publish import checked_source
from tf_tokclf.publishing.run_card import contents
from tf_tokclf.report.cache import size_text
from tf_tokclf.run_dir import RunDir

CARD = "README.md"


@dataclass(frozen=True)
class Preview:
    """What a push would make public.

    Attributes:
        repo_id: The repository. Without an owner, it belongs to the user of the token.
        private: Whether it would be created as private.
        revision: The branch.
        files: Name and size in bytes of each file.
        card: Where the model card comes from.
        texts: What the card and the files contain of the data and of the user: a description and the texts.
    """

    repo_id: str
    private: bool
    revision: str
    files: tuple[tuple[str, int], ...]
    card: str
    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """The preview as text."""
        access = "private" if self.private else "public, unless the repository exists and is private"
        yield f"repository: {self.repo_id}, branch {self.revision} ({access})"
        yield f"model card: {self.card}"
        total = size_text(sum(size for _, size in self.files))
        yield from ("", f"{counted(len(self.files), 'file')}, {total}:")
        yield from (f"  {name} ({size_text(size)})" for name, size in self.files)
        yield ""
        for what, texts in self.texts.items():
            shown = [" ".join(text.split()) for text in texts]
            yield f"{what}:{'' if len(shown) > 1 else f' {shown[0]}' if shown else ' none'}"
            yield from (f"  {text}" for text in shown if len(shown) > 1)
        yield from ("", "Nothing was sent.")


def preview(
    path: str | Path,
    *,
    repo_id: str | None = None,
    private: bool | None = None,
    revision: str | None = None,
    keep_card: bool = False,
    other_seeds: Sequence[str | Path] = (),
) -> Preview:
    """Check a run or a model folder as `push` does, and list what it would publish. Nothing is written or sent.

    The arguments are those of `push`. The revision and the licence of a data set on the Hub are not looked up.
    """
    source = checked_source(path, repo_id=repo_id, private=private, revision=revision)
    target = source.target
    check_revision(target.revision)
    files = {file.relative_to(source.folder).as_posix(): file.stat().st_size for file in files_to_push(source.folder)}
    if source.run and not keep_card:
        others = [RunDir(Path(one)) for one in other_seeds]
        card = contents(source.run, reference=target.repo_id, other_seeds=others)
        template = load_config(source.run.config).hub.card.template
        files[CARD] = len(render(card, template=template).encode())
        origin = f"generated from the run{f', with the template {template}' if template else ''}"
        texts = _texts_of_run(card)
    elif CARD in files:
        origin, texts = "pushed unchanged", _texts_of_card(source.folder / CARD)
    else:
        origin, texts = "none", dict[str, tuple[str, ...]]()
    texts["labels"] = (", ".join(saved_labels(source.folder)),)
    return Preview(
        repo_id=target.repo_id,
        private=target.private,
        revision=target.revision or "main",
        files=tuple(sorted(files.items())),
        card=origin,
        texts=texts,
    )


def _texts_of_run(card: Card) -> dict[str, tuple[str, ...]]:
    """The texts in a new card that come from the data, the configuration and the names of files."""
    return {
        "data set": (card.dataset_name,) if card.dataset_name else (),
        "encoder": (public_name(card.base_model),) if card.base_model else (),
        "statements about the data": card.data,
        "example sentences": card.examples,
        "tags": card.tags,
        "additional sections": tuple(f"{heading}: {text.strip()}" for heading, text in card.sections.items()),
    }


def _texts_of_card(path: Path) -> dict[str, tuple[str, ...]]:
    """The data sets, encoders and example sentences in the metadata of a card."""
    from huggingface_hub.repocard import metadata_load

    try:
        values = metadata_load(path) or {}
    except (ValueError, yaml.YAMLError):
        return {}
    return {
        "data set": tuple(_strings(values.get("datasets"))),
        "encoder": tuple(_strings(values.get("base_model"))),
        "example sentences": tuple(_strings(values.get("widget"))),
        "tags": tuple(_strings(values.get("tags"))),
    }


def _strings(value: Any) -> Iterator[str]:
    """All texts in a value of the metadata."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
