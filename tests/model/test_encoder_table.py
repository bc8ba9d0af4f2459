"""The table of model types in docs/encoders.md says what is found. After a change: `scripts/make_encoder_table`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.encoder_table import (
    CHECKED_BY_DEFAULT,
    COLUMNS,
    NEEDED,
    PAGE,
    TORCH_COLUMNS,
    WORDS,
    YES,
    Subject,
    cells_in,
    outcome,
)
from tests.requirements import need_modules
from tf_tokclf.encoding.model_types import MODEL_TYPES

CELLS = cells_in(PAGE.read_text(encoding="utf-8"))
# The cells that need no PyTorch.
CHECKED = [(name, column) for name, column in CELLS if column in COLUMNS]


def test_every_type_has_a_row():
    assert CELLS.keys() >= {(name, column) for name in MODEL_TYPES for column in (*COLUMNS, *TORCH_COLUMNS)}
    assert set(CELLS.values()) <= WORDS


@pytest.mark.parametrize("column", CHECKED_BY_DEFAULT)
def test_what_each_reference_model_is_tested_for(column: str):
    """Those tests would fail otherwise: test_reference_models.py."""
    assert {content for (_, of), content in CELLS.items() if of == column} == {YES}


@pytest.fixture(scope="module")
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return Subject(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the converters, and of the classes of transformers
@pytest.mark.parametrize(("subject", "column"), CHECKED, indirect=["subject"])
def test_a_cell_is_what_is_found(subject: Subject, column: str):
    need_modules(*NEEDED.get(column, ()), extra="export")
    found, error = outcome(column, subject)
    assert (found, CELLS[subject.type, column]) == (CELLS[subject.type, column],) * 2, error


def test_reading_gives_what_was_written(tmp_path: Path):
    from tests.encoder_table import with_cells

    page = PAGE.read_text(encoding="utf-8")
    assert with_cells(page, CELLS) == page
    assert cells_in(with_cells(page, CELLS | {("bert", "ONNX"): "no"}))["bert", "ONNX"] == "no"
