"""A Hugging Face Hub on loopback: real bare git repositories, an LFS store, the REST endpoints that
`huggingface_hub` 0.3x and `datasets` use for models and data sets, and faults on demand.

    with LocalHub(tmp_path / "hub") as hub:
        hub.fault("POST", "/commit/", status=503)
        subprocess.run(command, env={**os.environ, **hub.env(tmp_path / "home")})
        assert hub.read("tester/model", "config.json") == ...
"""

from __future__ import annotations

from tests.local_hub.faults import Fault
from tests.local_hub.repositories import Repository
from tests.local_hub.server import TOKEN, USER, LocalHub

__all__ = ["TOKEN", "USER", "Fault", "LocalHub", "Repository"]
