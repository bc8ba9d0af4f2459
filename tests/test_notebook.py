"""The notebook in the documentation runs from top to bottom, and shows what it promises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local_hub import USER, LocalHub
from tests.requirements import need_modules
from tests.shipped_sample import cut_sample

NOTEBOOK = Path(__file__).parent.parent / "docs" / "notebooks" / "first-hour.ipynb"
# Cells that fail: their message is shown instead of a traceback, also under a magic command.
MISTAKE = 'tf_tokclf.load_config("absent.yaml")'
UNDER_TIME = "%time tf_tokclf.evaluate('runs/absent')"
UNTRACED = """
import warnings

import tf_tokclf
from tf_tokclf.model.backend import tf

warnings.filterwarnings("ignore", message="Even though")
tf.config.run_functions_eagerly(True)
"""


def cells(notebook: Any, kind: str) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


@pytest.fixture(scope="module")
def committed() -> Any:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def executed(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The notebook after its execution with a tiny encoder and the first sentences of the sample."""
    need_modules("nbclient", "nbformat", "ipykernel", extra="dev")
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("notebook")
    sample = cut_sample(folder / "sample", 24)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    for name, value in {
        "TRAIN": f"{sample}/train",
        "VALIDATION": f"{sample}/dev",
        "TEST": f"{sample}/test",
        "ENCODER": str(tiny_bert),
        "EPOCHS": 2,
        "REPOSITORY": f"{USER}/first-hour",
    }.items():
        parameters.source, n = re.subn(rf"(?m)^{name} = .*$", f"{name} = {value!r}", parameters.source)
        assert n == 1, name
    # As in the fixture `untraced`: tracing graphs takes half of the time of such short runs.
    notebook.cells.insert(0, nbformat.v4.new_code_cell(UNTRACED))
    for source in (MISTAKE, UNDER_TIME):
        notebook.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": ["raises-exception"]}))
    with pytest.MonkeyPatch.context() as patch, LocalHub(folder / "hub") as hub:
        hub.use_here(patch, folder / "home")
        patch.setenv("TF_TOKCLF_CACHE", str(folder / "cache"))
        work = folder / "work"
        work.mkdir()
        NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": work}}).execute()
        yield notebook


def outputs_of(notebook: Any, source: str) -> list[Any]:
    """The outputs of the only cell whose source contains `source`."""
    (cell,) = [cell for cell in cells(notebook, "code") if source in cell["source"]]
    return cell["outputs"]


def is_advice(output: Any) -> bool:
    """Whether an output is the warning that the model is useless, which is true of the tiny model of this test."""
    return output["output_type"] == "stream" and "What stands out:" in output["text"]


def html_of(output: Any) -> str:
    return "".join(output["data"]["text/html"])


def test_the_committed_notebook_has_no_outputs(committed: Any):
    """Times and scores differ between machines, and a report is large. So outputs would change in every commit."""
    for cell in cells(committed, "code"):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
        assert set(cell["metadata"]) <= {"tags"}
    assert json.dumps(committed, indent=1, sort_keys=True, ensure_ascii=False) + "\n" == NOTEBOOK.read_text("utf-8")


def test_nothing_is_printed_but_results(executed: Any):
    """No log lines, no warnings, no messages of TensorFlow, and no remains of a progress bar."""
    streams = {
        (cell["source"].splitlines()[0], output["name"]): output["text"]
        for cell in cells(executed, "code")
        for output in cell["outputs"]
        if output["output_type"] == "stream" and cell["source"] != UNDER_TIME and not is_advice(output)
    }
    assert set(streams) == {
        ("from tf_tokclf.publishing.preview import preview", "stdout"),
        ("if REPOSITORY:", "stdout"),
    }
    assert "Nothing was sent." in streams["from tf_tokclf.publishing.preview import preview", "stdout"]
    assert f"/{USER}/first-hour/tree/" in streams["if REPOSITORY:", "stdout"]


def test_the_data_is_shown_in_colour(executed: Any):
    (output,) = outputs_of(executed, "load_data(config)")
    html = html_of(output)
    assert html.count("<mark ") > 5
    assert re.search(r"<td [^>]*>train</td><td [^>]*>24</td>", html)


def test_training_is_one_output_that_ends_as_a_table_of_the_epochs(executed: Any):
    outputs = outputs_of(executed, "result = tf_tokclf.fit(config)")
    progress, result = (output for output in outputs if not is_advice(output))
    assert (progress["output_type"], result["output_type"]) == ("display_data", "execute_result")
    assert "<progress" not in html_of(progress)
    assert re.findall(r"<tr[^>]*><td [^>]*>(\d)</td>", html_of(progress)) == ["1", "2"]
    assert "".join(progress["data"]["text/plain"]).endswith("best: trained")
    assert "validation</td>" in html_of(result)
    assert "test</td>" in html_of(result)


def test_scores_comparison_and_report_are_shown(executed: Any):
    (scores,) = outputs_of(executed, 'evaluation = result.evaluations["test"]')
    assert "all (micro average)" in html_of(scores)
    *_, comparison = outputs_of(executed, "tf_tokclf.compare(")
    assert "two-sided paired permutation test" in html_of(comparison)
    (report,) = outputs_of(executed, "result.report")
    assert html_of(report).startswith("<iframe sandbox ")


def test_predictions_are_lists_and_are_shown_as_texts(executed: Any):
    (one,) = outputs_of(executed, "add Blue in Green")
    without_types = re.sub(r"<span [^>]*>[^<]*</span>", "", html_of(one))
    text = "add Blue in Green by Miles Davis to my evening jazz playlist"
    assert re.sub("<[^>]*>", "", without_types).strip() == text
    assert "".join(one["data"]["text/plain"]).startswith("[")
    (several,) = outputs_of(executed, "book a table")
    assert html_of(several).count("<p ") == 3
    (entities,) = outputs_of(executed, "list(tagger(")
    assert "text/html" not in entities["data"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (MISTAKE, "Error: absent.yaml: "),
        (UNDER_TIME, "Error: there is no folder runs/absent. "),
    ],
)
def test_a_mistake_is_one_message(executed: Any, source: str, message: str):
    *_, error = outputs_of(executed, source)
    assert error["ename"] == "UserError"
    (line,) = error["traceback"]
    assert re.sub("\x1b\\[[0-9;]*m", "", line).startswith(message)
