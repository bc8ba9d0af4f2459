"""A push is verified, or it ends in an error."""

from __future__ import annotations

import logging
import socket
import subprocess
import threading
import time
from email.utils import formatdate

import pytest

from tests.local_hub import TOKEN
from tests.waiting import LIMIT_S
from tf_tokclf.errors import JobError, UserError
from tf_tokclf.publishing.hub_repository import HubRepository, Patience, check_revision, push_folder
from tf_tokclf.redaction import redact

QUICK = Patience(tries=4, first_wait_s=0.01)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_arrives_byte_for_byte(hub, folder):
    pushed = push_folder(folder, "tester/m", patience=QUICK)
    assert pushed.changed
    assert pushed.commit == hub.repository("tester/m").sha()
    assert hub.files("tester/m") == contents(folder)


def test_name_without_owner_goes_to_the_tokens_user(hub, folder):
    assert push_folder(folder, "m").repo_id == "tester/m"


def test_name_with_http_in_it_is_a_name(hub, folder):
    push_folder(folder, "tester/my-http-model")
    assert hub.files("tester/my-http-model") == contents(folder)


def test_nothing_new_makes_no_commit(hub, folder):
    first = push_folder(folder, "tester/m")
    again = push_folder(folder, "tester/m")
    assert again.commit == first.commit
    assert not again.changed
    assert len(hub.repository("tester/m").commits()) == 2


def test_hidden_and_partial_files_stay_at_home(hub, folder):
    (folder / ".cache").mkdir()
    (folder / ".cache" / "secret").write_text("x")
    (folder / "model.safetensors.partial").write_text("x")
    push_folder(folder, "tester/m")
    assert set(hub.files("tester/m")) == {"README.md", "config.json", "model.safetensors"}


def test_private(hub, folder):
    push_folder(folder, "tester/m", private=True)
    assert hub.repository("tester/m").private


def test_public_repository_gets_nothing_that_is_to_be_private(hub, folder):
    hub.create("tester/m")
    with pytest.raises(UserError, match="is public, but --hub-private-repo requires a private one"):
        push_folder(folder, "tester/m", private=True)
    assert hub.files("tester/m") == {}


def test_other_branch(hub, folder):
    push_folder(folder, "tester/m", revision="trial/1")
    assert hub.files("tester/m", "trial/1") == contents(folder)
    assert hub.files("tester/m") == {}


@pytest.mark.parametrize(
    ("method", "pattern", "what"),
    [
        ("POST", "/commit/", {"status": 503, "times": 2}),
        ("POST", "/commit/", {"status": 412}),
        ("POST", "/commit/", {"status": 409, "times": 2}),
        ("POST", "/commit/", {"status": 429, "headers": {"Retry-After": "0"}}),
        ("POST", "/commit/", {"cut": "before"}),
        ("POST", "/commit/", {"cut": "middle"}),
        ("POST", "/preupload/", {"status": 500, "skip": 1}),
        ("POST", "/lfs/objects/batch", {"status": 502}),
        ("POST", "/lfs/objects/batch", {"cut": "after"}),
        ("PUT", "/_lfs/", {"status": 403}),
        ("POST", "/repos/create", {"cut": "after"}),
        ("POST", "/api/validate-yaml", {"status": 504}),
    ],
)
def test_what_passes_is_tried_again(hub, folder, method, pattern, what):
    fault = hub.fault(method, pattern, **what)
    assert push_folder(folder, "tester/m", patience=QUICK).changed
    assert hub.files("tester/m") == contents(folder)
    assert fault.times == 0


@pytest.mark.parametrize("status", [429, 503])
def test_a_long_wait_that_the_hub_asks_for_ends_the_push_with_a_message(hub, folder, status):
    """The wait was limited to a minute, so four requests were sent too early."""
    repository = HubRepository.prepare("tester/m")
    hub.fault("POST", "/commit/", status=status, headers={"Retry-After": "3600"}, times=None)
    with pytest.raises(JobError, match=rf"\({status}\)\. Try again in 60 minutes\."):
        repository.push(folder)
    assert sum("/commit/" in path for _, path, _ in hub.log) == 1


def test_a_refusal_without_advice_ends_with_its_full_stop(hub, folder):
    repository = HubRepository.prepare("tester/m")
    hub.fault("POST", "/commit/", status=409, times=None)
    with pytest.raises(JobError) as caught:
        repository.push(folder, patience=QUICK)
    assert "the Hub rejected the request (409): " in str(caught.value)
    assert str(caught.value).endswith(".")


def test_the_hub_is_left_alone_for_as_long_as_it_asks(hub, folder, monkeypatch):
    """Later pushes of the same run also make no request until then."""
    repository = HubRepository.prepare("tester/m")
    hub.fault("POST", "/commit/", status=429, headers={"Retry-After": "3600"})
    with pytest.raises(JobError, match="Try again in 60 minutes"):
        repository.push(folder)
    n_requests = len(hub.log)
    with pytest.raises(JobError, match="the Hub requested a pause"):
        repository.push(folder)
    assert len(hub.log) == n_requests
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    repository.closed_until -= 3500
    assert repository.push(folder).changed
    assert 0 < slept[0] <= 100


def test_a_wait_that_the_hub_asks_for_is_kept(hub, folder, monkeypatch):
    repository = HubRepository.prepare("tester/m")
    in_two_minutes = formatdate(time.time() + 120, usegmt=True)
    slept = []
    monkeypatch.setattr("time.sleep", slept.append)
    for asked in ("100", in_two_minutes, "soon"):
        hub.fault("POST", "/commit/", status=503, headers={"Retry-After": asked})
    assert repository.push(folder).changed
    assert slept == [100, pytest.approx(120, abs=60), 4.0]


def test_commit_whose_answer_was_lost_is_not_made_twice(hub, folder):
    hub.fault("POST", "/commit/", cut="after")
    push_folder(folder, "tester/m", patience=QUICK)
    assert hub.repository("tester/m").commits() == ["Upload token classifier", "initial commit"]


def test_stalled_commit_times_out_and_is_tried_again(hub, folder, monkeypatch):
    # Long enough for every other request on a busy machine.
    monkeypatch.setenv("TF_TOKCLF_HUB_TIMEOUT_S", "3")
    tried_again = threading.Event()
    hub.fault("POST", "/commit/", call=lambda: tried_again.wait(LIMIT_S), cut="before")
    hub.fault("POST", "/commit/", call=tried_again.set)
    push_folder(folder, "tester/m", patience=QUICK)
    assert tried_again.is_set()
    assert hub.files("tester/m") == contents(folder)


def test_objects_that_arrived_are_not_sent_again(hub, folder):
    hub.fault("POST", "/commit/", status=503)
    push_folder(folder, "tester/m", patience=QUICK)
    assert sum(method == "PUT" for method, _, _ in hub.log) == 1


def test_foreign_commit_while_pushing_stays_below_ours(hub, folder, caplog):
    repository = HubRepository.prepare("tester/m")
    published = hub.repository("tester/m")
    edit = {"README.md": b"edited on the web", "notes.txt": b"theirs"}
    hub.fault("POST", "/commit/", call=lambda: published.commit(edit))
    with caplog.at_level(logging.INFO):
        repository.push(folder, patience=QUICK)
    assert hub.files("tester/m") == {**contents(folder), "notes.txt": b"theirs"}
    assert published.commits() == ["Upload token classifier", "somebody's commit", "initial commit"]
    assert "a new commit that is not from this run" in caplog.text


def test_hub_that_stays_down_is_an_error_and_a_later_push_finishes(hub, folder, caplog):
    repository = HubRepository.prepare("tester/m")
    hub.stop()
    with caplog.at_level(logging.INFO), pytest.raises(JobError, match="cannot be reached") as raised:
        repository.push(folder, patience=QUICK)
    # Files in the cache do not help a push.
    assert "HF_HUB_OFFLINE" not in f"{raised.value} {caplog.text}"
    hub.start()
    assert repository.push(folder, patience=QUICK).changed


def test_content_that_changed_on_its_way_is_noticed(hub, folder):
    repository = HubRepository.prepare("tester/m")
    real = hub.repository("tester/m")
    commit = real.commit

    def mangled(files, **options):
        return commit({**files, "config.json": b"{}"}, **options)

    real.commit = mangled
    with pytest.raises(JobError, match=r"on the Hub, config.json differ"):
        repository.push(folder, patience=QUICK)


@pytest.mark.parametrize("status", [401, 403])
def test_refusals_are_not_repeated(hub, folder, status):
    hub.fault("POST", "/repos/create", status=status, times=None)
    with pytest.raises(UserError):
        push_folder(folder, "tester/m", patience=QUICK)
    assert [path for method, path, _ in hub.log if method == "POST"] == ["/api/repos/create"]


def test_token_that_may_only_read_is_refused_for_a_repository_that_exists(hub, folder):
    hub.create("tester/m")
    hub.roles[TOKEN] = "read"
    with pytest.raises(UserError, match="does not have the required permission"):
        push_folder(folder, "tester/m")


def test_without_a_token_no_request_is_made(hub, folder, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(
        UserError, match=r"there is no Hub token, so nothing can be pushed\. Log in with `hf auth login`"
    ):
        push_folder(folder, "tester/m")
    assert hub.log == []


def test_a_hub_that_cannot_be_reached_at_the_start_is_an_error_at_once(hub, folder, caplog):
    hub.stop()
    with caplog.at_level(logging.INFO), pytest.raises(JobError, match="cannot be reached"):
        push_folder(folder, "tester/m", patience=Patience(tries=4, first_wait_s=60))
    assert "retrying" not in caplog.text


def test_an_unknown_host_is_an_error_at_once(hub, folder, caplog, monkeypatch):
    def nobody(*_arguments, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", nobody)
    with caplog.at_level(logging.INFO), pytest.raises(JobError, match="cannot be reached"):
        push_folder(folder, "tester/m", patience=Patience(tries=4, first_wait_s=60))
    assert "retrying" not in caplog.text


@pytest.mark.parametrize("status", [400, 404, 405, 410, 413, 422, 451])
@pytest.mark.parametrize("pattern", ["/branch/", "/commit/"])
def test_other_rejections_are_not_repeated(hub, folder, status, pattern):
    hub.fault("POST", pattern, status=status, times=None)
    with pytest.raises((UserError, JobError)) as caught:
        push_folder(folder, "tester/m", revision="v1", patience=Patience(tries=4, first_wait_s=60))
    assert sum(pattern in path for _, path, _ in hub.log) == 1
    assert "metadata" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["a b", "a..b", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.", "-a", "a@{b", "a~1", "a:b", "a\\b", ""],
)
def test_a_name_that_git_refuses_is_refused_before_any_request(hub, folder, name):
    refused = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True)
    assert refused.returncode != 0
    with pytest.raises(UserError, match="is not a valid name of a branch"):
        push_folder(folder, "tester/m", revision=name)
    assert hub.log == []


@pytest.mark.parametrize("name", ["v1", "trial/2", "a-b_c.d", "refs/pr/1", "ü", "a@b"])
def test_names_that_git_accepts_are_accepted(name):
    accepted = subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True)
    assert accepted.returncode == 0
    check_revision(name)


def test_stored_login_is_used(hub, folder, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "home" / "hf").mkdir(parents=True)
    (tmp_path / "home" / "hf" / "token").write_text(TOKEN)
    assert push_folder(folder, "tester/m").changed


def test_bad_card_is_the_users_to_mend(hub, folder):
    (folder / "README.md").write_text("---\n- [a\n---\n")
    with pytest.raises(UserError, match="Correct the metadata"):
        push_folder(folder, "tester/m")


def test_offline_mode(hub, folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="offline mode is on"):
        push_folder(folder, "tester/m")


def test_empty_folder(hub, tmp_path):
    with pytest.raises(UserError, match="this folder does not exist"):
        push_folder(tmp_path / "absent", "tester/m")


def test_token_is_never_told(hub, folder, caplog, capfd):
    hub.tokens["plain-secret-token"] = "tester"
    hub.fault("POST", "/commit/", status=503, times=1)
    with caplog.at_level(logging.DEBUG, logger="tf_tokclf"):
        push_folder(folder, "tester/m", token="plain-secret-token", patience=QUICK)
        hub.fault("POST", "/commit/", status=503, times=None, headers={"X-Error-Message": TOKEN})
        (folder / "config.json").write_text("{}")
        with pytest.raises(JobError) as raised:
            push_folder(folder, "tester/m", token="plain-secret-token", patience=QUICK)
    out, err = capfd.readouterr()
    told = caplog.text + out + err + str(raised.value)
    assert "plain-secret-token" not in told
    assert TOKEN not in told


def test_redact():
    assert redact("plain-secret in https://user:x@hub", "plain-secret") == "*** in https://***@hub"
