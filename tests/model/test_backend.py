"""What importing the backend changes in transformers."""

from __future__ import annotations

from pathlib import Path

from tf_tokclf.model.backend import transformers


def test_transformers_finds_all_models_that_its_own_list_has():
    own = transformers.utils.import_utils
    path = Path(transformers.__path__[0], "models", "__init__.py")
    expected = own._LazyModule("transformers.models", str(path), own.define_import_structure(str(path)))
    assert len(expected._class_to_module) > 2000
    assert transformers.models._class_to_module == expected._class_to_module
    assert transformers.models._modules == expected._modules
    assert transformers.models.bert.TFBertModel is transformers.TFBertModel
