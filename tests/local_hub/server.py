"""The HTTP server of the local Hub."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml

from tests.local_hub.faults import Fault, Faults
from tests.local_hub.repositories import REGULAR_LIMIT, Repository, git_blob_id, pointer
from tests.ports import reserved_socket

TOKEN = "hf_LocalHubSecretToken0123456789"
USER = "tester"
_BLOCK = 1 << 16
_LFS_JSON = "application/vnd.git-lfs+json"
_CARD_HEADER = re.compile(r"---\r?\n(.*?)\r?\n---", re.DOTALL)
_REPOSITORY_CALLS = {"revision", "tree", "preupload", "commit", "paths-info", "branch", "refs", "auth-check"}


class Answer(Exception):
    """Raised to end a request with a response."""

    def __init__(
        self,
        status: int,
        body: bytes | Any = b"",
        *,
        headers: dict[str, str] | None = None,
        file: Path | None = None,
    ) -> None:
        super().__init__(status)
        self.status = status
        self.headers = dict(headers or {})
        self.file = file
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            self.headers.setdefault("Content-Type", "application/json; charset=utf-8")
        self.body = body


def refusal(status: int, message: str, code: str | None = None) -> Answer:
    """An error in the form of the Hub: in the body and in the headers that huggingface_hub reads."""
    headers = {"X-Error-Message": message}
    if code:
        headers["X-Error-Code"] = code
    if status == 401:
        # Without it, git and git-lfs do not send their credentials.
        headers["WWW-Authenticate"] = 'Basic realm="local hub"'
    return Answer(status, {"error": message}, headers=headers)


class LocalHub:
    """A Hub on 127.0.0.1 that keeps everything below `root`.

    tokens: user names by token. roles: of tokens, "write" unless set to "read".
    log: (method, path, status) of each request answered. bytes_per_s: slows uploads down.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.tokens = {TOKEN: USER}
        self.roles: dict[str, str] = {}
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.faults = Faults()
        self.log: list[tuple[str, str, int]] = []
        self.bytes_per_s: float | None = None
        self.secret = secrets.token_bytes(16)
        self.store = self.root / "lfs"
        self.store.mkdir(parents=True, exist_ok=True)
        self._server: _Server | None = None
        # The port stays reserved while the Hub is stopped.
        self._reserved = reserved_socket()
        self.port = self._reserved.getsockname()[1]

    def start(self) -> LocalHub:
        """Listen, after a `stop` on the same port."""
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.hub = self
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening and break every open connection."""
        if self._server:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()
            server.break_connections()

    def __enter__(self) -> LocalHub:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._reserved.close()

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def env(self, home: Path) -> dict[str, str]:
        """Environment variables that make a process use this Hub and none of the user's files."""
        home.mkdir(parents=True, exist_ok=True)
        return {
            "HF_TOKEN": TOKEN,
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home / "hf"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HOME": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def use_here(self, monkeypatch: Any, home: Path) -> None:
        """Make this process use the Hub. huggingface_hub has already read its environment variables."""
        for name, value in self.env(home).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", self.url)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", self.url)
        monkeypatch.setattr("datasets.config.HF_ENDPOINT", self.url)
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(home / "hf" / "datasets"))
        monkeypatch.setattr("datasets.config.DOWNLOADED_DATASETS_PATH", str(home / "hf" / "downloads"))
        template = f"{self.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hf" / "hub"))
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(home / "hf" / "token"))

    def fault(self, method: str, pattern: str, **what: Any) -> Fault:
        """Add a `Fault`."""
        fault = Fault(method, pattern, **what)
        self.faults.add(fault)
        return fault

    def create(self, name: str, *, kind: str = "models", private: bool = False, gated: bool = False) -> Repository:
        """Create a repository on the server."""
        repository = Repository(
            self.root / kind / f"{name}.git", self.store, private, gated, readers={name.split("/")[0]}
        )
        repository.create(USER)
        self.repositories[kind, name] = repository
        return repository

    def repository(self, name: str, kind: str = "models") -> Repository:
        """A repository that exists."""
        return self.repositories[kind, name]

    def read(self, name: str, path: str, revision: str = "main", kind: str = "models") -> bytes:
        """A published file's content."""
        return self.repository(name, kind).read(path, revision)

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        """All published files except `.gitattributes`."""
        repository = self.repository(name)
        paths = [entry.path for entry in repository.entries(revision) if entry.type == "file"]
        return {path: repository.read(path, revision) for path in paths if path != ".gitattributes"}

    def sign(self, oid: str) -> str:
        """The signature in the URL of an LFS object, which is used instead of a token."""
        return hmac.new(self.secret, oid.encode(), "sha256").hexdigest()


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    # Do not log connections that clients drop.
    hub: LocalHub

    def __init__(self, *arguments: Any) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors of clients that disconnected."""

    def break_connections(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Body:
    """The body of a request, with a length or in chunks, read at most at the Hub's speed."""

    def __init__(self, stream: BinaryIO, headers: Any, bytes_per_s: float | None) -> None:
        chunked = headers.get("Transfer-Encoding", "").lower() == "chunked"
        self.length = int(headers.get("Content-Length") or 0)
        self._pieces = self._chunks(stream) if chunked else self._counted(stream, self.length)
        self._bytes_per_s = bytes_per_s

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if self._bytes_per_s:
                time.sleep(len(piece) / self._bytes_per_s)
            yield piece

    def read(self) -> bytes:
        """Read the rest."""
        return b"".join(self)

    @staticmethod
    def _counted(stream: BinaryIO, length: int) -> Iterator[bytes]:
        while length > 0:
            piece = stream.read(min(_BLOCK, length))
            if not piece:
                raise ConnectionError("the body ended early")
            length -= len(piece)
            yield piece

    @staticmethod
    def _chunks(stream: BinaryIO) -> Iterator[bytes]:
        while True:
            length = int(stream.readline().split(b";")[0], 16)
            if length == 0:
                while stream.readline().strip():
                    pass
                return
            yield from _Body._counted(stream, length)
            stream.readline()


class _Cut(Exception):
    """Raised to break the connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing here; `LocalHub.log` records requests."""

    def _serve(self) -> None:
        self.hub = self.server.hub
        self.body = _Body(self.rfile, self.headers, self.hub.bytes_per_s)
        fault = self.hub.faults.next_for(self.command, self.path)
        try:
            answer = self._answer(fault)
            self.hub.log.append((self.command, self.path, answer.status))
            if fault and fault.cut == "after":
                raise _Cut
            self._send(answer)
        except _Cut:
            self.hub.log.append((self.command, self.path, 0))
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _answer(self, fault: Fault | None) -> Answer:
        if fault:
            if fault.call:
                fault.call()
            if fault.cut == "before":
                raise _Cut
            if fault.cut == "middle":
                received = 0
                for piece in self.body:
                    received += len(piece)
                    if 2 * received >= self.body.length:
                        break
                raise _Cut
            if fault.status:
                self.body.read()
                message = {401: "Invalid credentials in Authorization header", 429: "You are rate limited"}
                answer = refusal(fault.status, message.get(fault.status, "on demand"))
                answer.headers |= fault.headers
                return answer
        try:
            self._route()
        except Answer as answer:
            for _ in self.body:
                pass
            return answer
        raise AssertionError("a route ends by an Answer")

    def _send(self, answer: Answer) -> None:
        size = answer.file.stat().st_size if answer.file else len(answer.body)
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if answer.file and wanted and answer.status == 200:
            start = int(wanted[1])
            end = min(int(wanted[2] or size - 1), size - 1)
            answer.status, answer.headers["Content-Range"] = 206, f"bytes {start}-{end}/{size}"
            size = end + 1 - start
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.file:
            with answer.file.open("rb") as file:
                file.seek(start)
                while size > 0:
                    piece = file.read(min(_BLOCK, size))
                    size -= len(piece)
                    self.wfile.write(piece)
        else:
            self.wfile.write(answer.body)

    # Users and permissions

    def _user(self) -> str | None:
        """The user of the token sent; None without one."""
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            value = base64.b64decode(value).decode().partition(":")[2]
        self.token = value or None
        if not value:
            return None
        if value not in self.hub.tokens:
            raise refusal(401, "Invalid credentials in Authorization header")
        return self.hub.tokens[value]

    def _writer(self, namespace: str | None = None) -> str:
        user = self._user()
        if user is None:
            raise refusal(401, "Invalid username or password.")
        role = self.hub.roles.get(self.token or "", "write")
        if role != "write" or namespace not in (None, user):
            raise refusal(403, f"You don't have the rights to create or change {namespace or user}'s repositories")
        return user

    def _repository(self, kind: str, name: str, *, write: bool = False, files: bool = False) -> Repository:
        user = self._user()
        repository = self.hub.repositories.get((kind, name))
        if repository is None or (repository.private and user not in repository.readers):
            raise refusal(404 if user else 401, "Repository not found", "RepoNotFound")
        if files and repository.gated and user not in repository.readers:
            raise refusal(403 if user else 401, f"Access to {name} is restricted.", "GatedRepo")
        if write:
            self._writer(name.split("/")[0])
        return repository

    def _commit(self, repository: Repository, revision: str) -> str:
        commit = repository.sha(revision)
        if commit is None:
            raise refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    def _json(self) -> Any:
        return json.loads(self.body.read() or b"{}")

    # Routes

    def _route(self) -> None:
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        parts = url.path.strip("/").split("/")
        if parts[0] == "_lfs" and len(parts) == 2:
            self._lfs_object(parts[1])
        if parts[0] == "api":
            self._api(parts[1:])
        kind, parts = (parts[0], parts[1:]) if parts[0] == "datasets" else ("models", parts)
        if "resolve" in parts[1:3]:
            at = parts.index("resolve", 1)
            self._resolve(kind, "/".join(parts[:at]), unquote(parts[at + 1]), unquote("/".join(parts[at + 2 :])))
        git = re.fullmatch(
            r"([^/]+(?:/[^/]+)?)/(info/lfs/.+|info/refs|git-upload-pack|git-receive-pack)", "/".join(parts)
        )
        if git:
            self._git_side(kind, git[1].removesuffix(".git"), git[2])
        raise refusal(404, f"No such page: {self.path}")

    def _api(self, parts: list[str]) -> None:
        if parts[0] == "whoami-v2":
            self._whoami()
        if parts[:2] == ["repos", "create"]:
            self._create()
        if parts[0] == "validate-yaml":
            self._validate_yaml()
        if parts[0] in ("models", "datasets") and len(parts) > 1:
            kind, *rest = parts
            length = 1 if len(rest) == 1 or rest[1] in _REPOSITORY_CALLS else 2
            name = unquote("/".join(rest[:length]))
            call, *arguments = rest[length:] or ["revision", "main"]
            self._repository_call(kind, name, call, [unquote(argument) for argument in arguments])
        raise refusal(404, f"No such call: {self.path}")

    def _whoami(self) -> None:
        user = self._user()
        if user is None:
            raise refusal(401, "Invalid username or password.")
        role = self.hub.roles.get(self.token or "", "write")
        raise Answer(
            200,
            {
                "type": "user",
                "name": user,
                "fullname": user.title(),
                "email": f"{user}@example.com",
                "orgs": [],
                "auth": {"type": "access_token", "accessToken": {"displayName": "test", "role": role}},
            },
        )

    def _create(self) -> None:
        asked = self._json()
        user = self._writer(asked.get("organization"))
        kind = asked.get("type", "model") + "s"
        name = f"{asked.get('organization') or user}/{asked['name']}"
        url = f"{self.hub.url}/{'' if kind == 'models' else kind + '/'}{name}"
        known = (kind, name) in self.hub.repositories
        if not known:
            self.hub.create(name, kind=kind, private=bool(asked.get("private")))
        status = 409 if known else 200
        error = {"error": "You already created this model repo"} if known else {}
        raise Answer(status, {"url": url, "name": name, "id": name, **error})

    def _validate_yaml(self) -> None:
        content = self._json().get("content", "")
        header = _CARD_HEADER.match(content)
        try:
            metadata = yaml.safe_load(header[1]) if header else {}
            errors = [] if isinstance(metadata, dict) else ["metadata is no mapping"]
        except yaml.YAMLError as error:
            errors = [str(error)]
        found = {"errors": [{"message": error} for error in errors], "warnings": []}
        raise Answer(400 if errors else 200, found)

    # Models and data sets

    def _repository_call(self, kind: str, name: str, call: str, arguments: list[str]) -> None:
        write = call in ("preupload", "commit", "branch")
        repository = self._repository(kind, name, write=write, files=call == "auth-check")
        if call == "revision":
            self._info(repository, name, "/".join(arguments))
        if call == "tree":
            self._tree(repository, arguments[0], "/".join(arguments[1:]))
        if call == "paths-info":
            self._paths_info(repository, arguments[0])
        if call == "preupload":
            self._preupload(repository, arguments[0])
        if call == "commit":
            self._make_commit(repository, name, arguments[0])
        if call == "branch":
            with repository.lock:
                if repository.sha(f"refs/heads/{arguments[0]}"):
                    raise Answer(409, {"error": "Reference already exists"})
                start = self._commit(repository, self._json().get("startingPoint", "main"))
                repository.git("branch", arguments[0], start)
            raise Answer(200, {})
        if call == "refs":
            branches = repository.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads")
            shown = [
                {"name": ref.removeprefix("refs/heads/"), "ref": ref, "targetCommit": commit}
                for ref, commit in (line.split() for line in branches.decode().splitlines())
            ]
            raise Answer(200, {"branches": shown, "converts": [], "tags": []})
        if call == "auth-check":
            raise Answer(200, {})
        raise refusal(404, f"No such call: {self.path}")

    def _info(self, repository: Repository, name: str, revision: str) -> None:
        commit = self._commit(repository, revision)
        paths = [entry.path for entry in repository.entries(commit) if entry.type == "file"]
        text = repository.read("README.md", commit).decode() if "README.md" in paths else ""
        header = _CARD_HEADER.match(text)
        card = yaml.safe_load(header[1]) if header else None
        raise Answer(
            200,
            {
                "_id": "0",
                "id": name,
                "modelId": name,
                "author": name.split("/")[0],
                "sha": commit,
                "lastModified": "2026-01-01T00:00:00.000Z",
                "createdAt": "2026-01-01T00:00:00.000Z",
                "private": repository.private,
                "gated": "manual" if repository.gated else False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "cardData": card,
                "siblings": [{"rfilename": path} for path in paths],
            },
        )

    def _tree(self, repository: Repository, revision: str, folder: str) -> None:
        commit = self._commit(repository, revision)
        entries = repository.entries(commit)
        if folder:
            entries = [entry for entry in entries if entry.path.startswith(folder + "/")]
            if not entries:
                raise refusal(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        if self.query.get("recursive", ["false"])[0].lower() not in ("true", "1"):
            depth = folder.count("/") + 1 if folder else 0
            entries = [entry for entry in entries if entry.path.count("/") == depth]
        raise Answer(200, [entry.to_json() for entry in entries])

    def _paths_info(self, repository: Repository, revision: str) -> None:
        raw = self.body.read()
        asked = json.loads(raw)["paths"] if raw.startswith(b"{") else parse_qs(raw.decode()).get("paths", [])
        paths = {path.strip("/") for path in ([asked] if isinstance(asked, str) else asked)}
        entries = repository.entries(self._commit(repository, revision))
        raise Answer(200, [entry.to_json() for entry in entries if entry.path in paths])

    def _preupload(self, repository: Repository, revision: str) -> None:
        commit = self._commit(repository, revision)
        there = {entry.path: entry for entry in repository.entries(commit)}
        files = []
        for asked in self._json()["files"]:
            path = asked["path"]
            binary = b"\0" in base64.b64decode(asked.get("sample", ""))
            lfs = asked["size"] > REGULAR_LIMIT or binary or repository.uses_lfs(path, commit)
            answer = {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
            if path in there:
                entry = there[path]
                answer["oid"] = entry.lfs[0] if entry.lfs else entry.oid
            files.append(answer)
        raise Answer(200, {"files": files})

    def _make_commit(self, repository: Repository, name: str, revision: str) -> None:
        header: dict[str, Any] = {}
        files: dict[str, bytes] = {}
        deleted: list[str] = []
        attributes = ""
        for line in self.body.read().splitlines():
            item = json.loads(line)
            kind, value = item["key"], item["value"]
            if kind == "header":
                header = value
            elif kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                if not repository.object(value["oid"]).exists():
                    raise refusal(400, f"{value['path']}: the LFS object was never uploaded")
                files[value["path"]] = pointer(value["oid"], value["size"])
                if not repository.uses_lfs(value["path"]):
                    attributes += f"{value['path']} filter=lfs diff=lfs merge=lfs -text\n"
            elif kind in ("deletedFile", "deletedFolder"):
                deleted.append(value["path"].strip("/"))
        with repository.lock:
            head = repository.sha(f"refs/heads/{revision}")
            if head is None:
                raise refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
            if header.get("parentCommit", head) != head:
                raise refusal(412, "A commit has happened since. Please refresh and try again.")
            if attributes and ".gitattributes" not in files:
                files[".gitattributes"] = repository.read(".gitattributes", head) + attributes.encode()
            user = self._user() or USER
            commit = repository.commit(files, message=header["summary"], author=user, branch=revision, deleted=deleted)
        raise Answer(200, {"success": True, "commitOid": commit, "commitUrl": f"{self.hub.url}/{name}/commit/{commit}"})

    def _resolve(self, kind: str, name: str, revision: str, path: str) -> None:
        repository = self._repository(kind, name, files=True)
        commit = self._commit(repository, revision)
        entry = repository.entry(commit, path)
        if entry is None or entry.type != "file":
            missing = refusal(404, "Entry not found", "EntryNotFound")
            missing.headers["X-Repo-Commit"] = commit
            raise missing
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if entry.lfs:
            oid, size = entry.lfs
            headers |= {
                "X-Linked-Etag": f'"{oid}"',
                "X-Linked-Size": str(size),
                "Location": f"{self.hub.url}/_lfs/{oid}?sig={self.hub.sign(oid)}",
            }
            raise Answer(302, headers=headers)
        content = repository.git("cat-file", "blob", entry.oid)
        assert git_blob_id(content) == entry.oid
        raise Answer(200, content, headers={**headers, "ETag": f'"{entry.oid}"', "Content-Type": "text/plain"})

    # Git and LFS

    def _git_side(self, kind: str, name: str, call: str) -> None:
        if call == "info/lfs/objects/batch":
            self._lfs_batch(kind, name)
        if call.startswith("info/lfs/"):
            raise refusal(404, "Locks are not supported")
        write = "git-receive-pack" in self.path
        user = self._user()
        if write and user is None:
            raise refusal(401, "Invalid username or password.")
        repository = self._repository(kind, name, write=write, files=True)
        self._http_backend(repository, call, user or "anonymous")

    def _lfs_batch(self, kind: str, name: str) -> None:
        asked = self._json()
        upload = asked["operation"] == "upload"
        repository = self._repository(kind, name, write=upload, files=True)
        objects = []
        for item in asked["objects"]:
            oid, there = item["oid"], repository.object(item["oid"]).exists()
            answer = {"oid": oid, "size": item["size"], "authenticated": True}
            href = {"href": f"{self.hub.url}/_lfs/{quote(oid)}?sig={self.hub.sign(oid)}", "header": {}}
            if upload and not there:
                answer["actions"] = {"upload": href}
            elif not upload and there:
                answer["actions"] = {"download": href}
            elif not upload:
                answer["error"] = {"code": 404, "message": "Object does not exist"}
            objects.append(answer)
        raise Answer(200, {"transfer": "basic", "objects": objects}, headers={"Content-Type": _LFS_JSON})

    def _lfs_object(self, oid: str) -> None:
        oid = oid.split("?")[0]
        if not hmac.compare_digest(self.query.get("sig", [""])[0], self.hub.sign(oid)):
            raise refusal(403, "Signature does not match")
        path = self.hub.store / oid[:2] / oid
        if self.command != "PUT":
            if not path.exists():
                raise refusal(404, "Object does not exist")
            raise Answer(200, headers={"ETag": f'"{oid}"', "Accept-Ranges": "bytes"}, file=path)
        path.parent.mkdir(exist_ok=True)
        partial = path.with_name(f"{oid}.{secrets.token_hex(4)}")
        digest = hashlib.sha256()
        try:
            with partial.open("wb") as file:
                for piece in self.body:
                    digest.update(piece)
                    file.write(piece)
            if digest.hexdigest() != oid:
                raise refusal(422, "The content does not have the hash it was announced with")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        raise Answer(200)

    def _http_backend(self, repository: Repository, call: str, user: str) -> None:
        content = self.body.read()
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(repository.path),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{call}",
            # git-http-backend rejects pushes without a user.
            "REMOTE_USER": user,
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": self.command,
            "QUERY_STRING": urlsplit(self.path).query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(content)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=content, capture_output=True, env=env, check=True)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        raise Answer(status, body, headers=headers)
