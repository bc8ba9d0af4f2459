"""The JSON Schema of configurations, with which editors complete and check them."""

from __future__ import annotations

import json
from typing import Any

from tf_tokclf.config.schema import Config
from tf_tokclf.config.shipped import SHIPPED_SCHEMA


def config_schema() -> dict[str, Any]:
    """The schema, generated from the classes of the configuration.

    The keywords x-heading and x-option are not part of JSON Schema. The command line builds its options from them.
    """
    schema = Config.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of tf-tokclf fit",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def schema_line() -> str:
    """The comment with which an editor's YAML language server finds the schema of this installation."""
    return f"# yaml-language-server: $schema={SHIPPED_SCHEMA.as_uri()}\n"


def schema_text() -> str:
    """The text of the shipped schema.

    >>> json.loads(schema_text())["properties"]["task"]["default"]
    'ner'
    """
    return json.dumps(config_schema(), ensure_ascii=False, indent=2) + "\n"
