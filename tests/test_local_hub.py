"""The local Hub answers huggingface_hub, datasets and git like the real Hub."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from tests.local_hub import TOKEN, LocalHub
from tests.requirements import need_git_lfs


@pytest.fixture
def hub(tmp_path):
    with LocalHub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def api(hub, monkeypatch, tmp_path):
    hub.use_here(monkeypatch, tmp_path / "home")
    return HfApi(token=TOKEN)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub folder").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Card\n")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 5000)
    (folder / "vocab ü.txt").write_text("wörter\n")
    (folder / "sub folder" / "empty.txt").touch()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_uploaded_folder_comes_back_byte_for_byte(hub, api, folder, tmp_path):
    assert api.create_repo("model").repo_id == "tester/model"
    api.upload_folder(repo_id="tester/model", folder_path=folder)
    assert hub.files("tester/model") == contents(folder)
    copy = Path(api.snapshot_download("tester/model", cache_dir=tmp_path / "cache"))
    assert {name: data for name, data in contents(copy).items() if name != ".gitattributes"} == contents(folder)
    assert hub.repository("tester/model").git("fsck", "--strict") == b""


def test_second_upload_of_the_same_makes_no_commit(hub, api, folder):
    api.create_repo("model")
    first = api.upload_folder(repo_id="tester/model", folder_path=folder).oid
    assert api.upload_folder(repo_id="tester/model", folder_path=folder).oid == first


def test_tree_tells_hashes(hub, api, folder):
    api.create_repo("model")
    api.upload_folder(repo_id="tester/model", folder_path=folder)
    tree = {entry.path: entry for entry in api.list_repo_tree("tester/model", recursive=True)}
    weights = (folder / "model.safetensors").read_bytes()
    assert tree["model.safetensors"].lfs.sha256 == hashlib.sha256(weights).hexdigest()
    assert tree["sub folder/empty.txt"].size == 0


def test_stale_parent_commit_is_refused(hub, api, folder):
    api.create_repo("model")
    old = api.repo_info("tester/model").sha
    hub.repository("tester/model").commit({"other.txt": b"other"})
    with pytest.raises(HfHubHTTPError) as refused:
        api.upload_folder(repo_id="tester/model", folder_path=folder, parent_commit=old)
    assert refused.value.response.status_code == 412


def test_private_repository_is_hidden(api):
    api.create_repo("model", private=True)
    assert api.repo_info("tester/model").private
    with pytest.raises(RepositoryNotFoundError):
        HfApi(token=False).repo_info("tester/model")


def test_gated_files_are_refused_but_the_page_is_shown(hub, api, tmp_path):
    hub.create("owner/model", gated=True).commit({"config.json": b"{}"})
    assert api.repo_info("owner/model").gated
    with pytest.raises(GatedRepoError):
        api.hf_hub_download("owner/model", "config.json", cache_dir=tmp_path)


@pytest.mark.parametrize(("token", "status"), [("hf_wrong", 401), ("hf_reader", 403)])
def test_tokens_without_the_right(hub, api, token, status):
    hub.tokens["hf_reader"] = "tester"
    hub.roles["hf_reader"] = "read"
    with pytest.raises(HfHubHTTPError) as refused:
        HfApi(token=token).create_repo("model")
    assert refused.value.response.status_code == status


def test_unknown_revision(hub, api):
    api.create_repo("model")
    with pytest.raises(RevisionNotFoundError):
        api.repo_info("tester/model", revision="nowhere")


def test_bad_card_is_refused(hub, api, folder):
    api.create_repo("model")
    (folder / "README.md").write_text("---\n- [a list\n---\n")
    with pytest.raises(ValueError, match="Invalid metadata"):
        api.upload_folder(repo_id="tester/model", folder_path=folder)


def test_data_set_loads(hub, tmp_path):
    repository = hub.create("tester/words", kind="datasets")
    repository.commit({"train.jsonl": b'{"tokens": ["a", "b"], "tags": ["O", "B-X"]}\n'})
    code = "import datasets; print(datasets.load_dataset('tester/words', split='train')[0]['tokens'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **hub.env(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("['a', 'b']"), done.stderr


def test_git_clones_and_pushes_large_files(hub, tmp_path):
    need_git_lfs()
    hub.create("tester/model")
    clone = tmp_path / "clone"
    env = {**os.environ, **hub.env(tmp_path / "home")}

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, env=env, check=True, capture_output=True)

    git("lfs", "install")
    git("clone", hub.url.replace("//", f"//user:{TOKEN}@") + "/tester/model", str(clone))
    (clone / "model.safetensors").write_bytes(bytes(range(256)) * 5000)
    git("-C", str(clone), "add", ".")
    git("-C", str(clone), "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "weights")
    git("-C", str(clone), "push", "-q")
    assert hub.read("tester/model", "model.safetensors") == bytes(range(256)) * 5000
    assert hub.repository("tester/model").entry("main", "model.safetensors").lfs


@pytest.mark.parametrize("cut", ["before", "middle", "after"])
def test_cut_connections_are_seen_by_the_client(hub, api, cut):
    hub.fault("POST", "/repos/create", cut=cut)
    with pytest.raises(requests.ConnectionError):
        api.create_repo("model")
    assert (("models", "tester/model") in hub.repositories) == (cut == "after")


def test_faults_come_as_ordered(hub, api):
    hub.fault("POST", "/repos/create", status=503, skip=1)
    api.create_repo("one")
    with pytest.raises(HfHubHTTPError):
        api.create_repo("two")
    api.create_repo("two")


def test_comes_back_on_its_port(hub, api):
    hub.create("tester/model")
    before = api.repo_info("tester/model").sha
    hub.stop()
    with pytest.raises(requests.ConnectionError):
        api.repo_info("tester/model")
    hub.start()
    assert api.repo_info("tester/model").sha == before
