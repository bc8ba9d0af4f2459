"""Fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads what another one, or the user, has cached."""
    monkeypatch.setenv("TF_TOKCLF_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data sets, kept beside the checkout or where TF_TOKCLF_SHARED_DATA says; skips without them."""
    beside = Path(__file__).parent.parent.parent / "shared" / "data"
    folder = Path(os.environ.get("TF_TOKCLF_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"needs the shared data sets, which are not at {folder}")
    return folder
