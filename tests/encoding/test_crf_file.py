"""`crf.json` in model folders: written and read, damaged, and from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tf_tokclf.encoding.crf_file import FILE_NAME, crf_to_start_from, read_crf, write_crf
from tf_tokclf.errors import UserError
from tf_tokclf.labels.chain import Chain
from tf_tokclf.labels.label_set import LabelSet
from tf_tokclf.labels.schemes import Scheme

LABELS = LabelSet(("O", "B-X", "I-X"), Scheme.IOB2)


@pytest.fixture
def chain() -> Chain:
    rng = np.random.default_rng(1)
    rules = Chain.of_rules(LABELS.names, LABELS.scheme)
    return Chain(*(part + rng.normal(size=part.shape).astype(np.float32) for part in rules.parts))


@pytest.fixture
def folder(chain: Chain, tmp_path: Path) -> Path:
    write_crf(tmp_path, LABELS.names, chain)
    return tmp_path


def test_float32_numbers_are_read_as_they_were(folder: Path, chain: Chain):
    for one, other in zip(read_crf(folder, LABELS).parts, chain.parts):
        assert (one == other).all()
    before = (folder / FILE_NAME).read_bytes()
    write_crf(folder, LABELS.names, read_crf(folder, LABELS))
    assert (folder / FILE_NAME).read_bytes() == before


def test_without_a_file_there_is_nothing_to_start_from(tmp_path: Path):
    assert crf_to_start_from(tmp_path) is None
    with pytest.raises(UserError, match="is missing"):
        read_crf(tmp_path, LABELS)


def at(*keys: Any, value: Any) -> Callable[[dict[str, Any]], object]:
    """Changes a value in the content."""

    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (at("labels", value=["O", "I-X", "B-X"]), "other labels"),
        (at("labels", value=["O"]), "one number per label"),
        (at("labels", value=[]), "list of names"),
        (at("labels", value=[1, 2, 3]), "list of names"),
        (at("labels", 1, value=["B-X"]), "list of names"),
        (at("start", value=[0.0, 1.0]), "start must have one number per label"),
        (at("end", value="0"), "end must have one number per label"),
        (at("end", value={}), "end must have one number per label"),
        (at("transitions", value=[[0.0, 0.0, None]]), "one row per label"),
        (at("transitions", 0, value=[0.0]), "transitions must have one number per label"),
        (at("transitions", 0, 0, value=float("nan")), "numbers from -50 to 50"),
        (at("transitions", 0, 0, value=float("inf")), "numbers from -50 to 50"),
        (at("transitions", 0, 0, value=50.1), "numbers from -50 to 50, or null"),
        (at("transitions", 0, 0, value=1e300), "numbers from -50 to 50"),
        (at("transitions", 0, 0, value=10**400), "numbers from -50 to 50"),
        (at("transitions", 0, 0, value=True), "numbers from -50 to 50"),
        (at("transitions", 0, 0, value="1"), "numbers from -50 to 50"),
        (at("transitions", 0, 2, value=1.0), "allows other transitions than the scheme IOB2"),
        (at("start", 0, value=None), "allows other transitions than the scheme IOB2"),
        (at("format_version", value=2), "newer version"),
        (at("format_version", value="1"), "format_version must be a whole number"),
        (at("format_version", value=True), "format_version must be a whole number"),
        (at("format_version", value=1.0), "format_version must be a whole number"),
        (at("format_version", value=0), "format_version must be a whole number"),
        (lambda content: content.pop("end"), "KeyError"),
    ],
)
def test_a_hostile_file_is_one_error(folder: Path, change: Callable[[dict[str, Any]], object], problem: str):
    content = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    change(content)
    (folder / FILE_NAME).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=problem) as caught:
        read_crf(folder, LABELS)
    assert caught.value.path == str(folder / FILE_NAME)


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"format_version": 1}', "null"])
def test_a_damaged_file_is_one_error(folder: Path, text: str):
    (folder / FILE_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(UserError):
        read_crf(folder, LABELS)
    with pytest.raises(UserError):
        crf_to_start_from(folder)


def test_a_link_that_leads_out_of_the_folder_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / FILE_NAME
    (folder / FILE_NAME).rename(elsewhere)
    (folder / FILE_NAME).symlink_to(elsewhere)
    with pytest.raises(UserError, match="outside of its folder"):
        read_crf(folder, LABELS)
