"""Training examples of Rasa as JSON and YAML."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from tests.data.converting import convert, converted
from tf_tokclf.cli.main import cli


def test_a_value_of_rasa_may_be_another_name(tmp_path: Path):
    entity = {"start": 6, "end": 9, "value": "new york city", "entity": "city"}
    example = {"text": "go to nyc", "intent": "go", "entities": [entity]}
    content = json.dumps({"rasa_nlu_data": {"common_examples": [example]}})
    assert converted(tmp_path, "a.json", content).sentences == ["go/O to/O nyc/B-city"]


def test_yaml_of_rasa_is_inspected_as_data(tmp_path: Path):
    path = tmp_path / "nlu.yml"
    path.write_text('version: "3.1"\nnlu:\n- intent: go\n  examples: |\n    - go to [Oslo](city)\n    - go\n')
    assert convert(path).sentences == ["go/O to/O Oslo/B-city", "go/O"]
    result = CliRunner().invoke(cli, ["inspect", str(path)])
    assert result.exit_code == 0
    assert f"{path}, line 5" in result.stdout
