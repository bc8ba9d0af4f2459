"""The repositories of the local Hub: bare git repositories and one LFS store."""

from __future__ import annotations

import fnmatch
import hashlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

LFS_PATTERNS = (
    "*.7z",
    "*.arrow",
    "*.bin",
    "*.gz",
    "*.h5",
    "*.npz",
    "*.onnx",
    "*.parquet",
    "*.pt",
    "*.safetensors",
)
_GITATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LFS_PATTERNS)
_POINTER = re.compile(rb"version https://git-lfs\S*\noid sha256:([0-9a-f]{64})\nsize (\d+)\n")
REGULAR_LIMIT = 10 * 2**20


def pointer(oid: str, size: int) -> bytes:
    """The pointer in git to an object of the LFS store."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()


def read_pointer(blob: bytes) -> tuple[str, int] | None:
    """(sha256, size) if `blob` is an LFS pointer."""
    match = _POINTER.fullmatch(blob)
    return (match[1].decode(), int(match[2])) if match else None


def git_blob_id(content: bytes) -> str:
    """The id of a blob in git."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Entry:
    """A file (or folder) of a commit. oid: of the git object; lfs: (sha256, size) that the pointer names."""

    type: str
    path: str
    oid: str
    size: int
    lfs: tuple[str, int] | None = None

    def to_json(self) -> dict:
        """The entry in a response of the Hub's tree endpoint."""
        shown = {"type": self.type, "path": self.path, "oid": self.oid, "size": self.size}
        if self.lfs:
            sha256, size = self.lfs
            shown |= {"size": size, "lfs": {"oid": sha256, "size": size, "pointerSize": self.size}}
        return shown


@dataclass
class Repository:
    """One model or data set: a bare git repository whose large files are in `store`."""

    path: Path
    store: Path
    private: bool = False
    gated: bool = False
    readers: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def create(self, author: str) -> None:
        """Create the repository as the Hub does, with a commit of `.gitattributes`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(self.path)], check=True)
        self.git("config", "http.receivepack", "true")
        hook = self.path / "hooks" / "pre-receive"
        script = Path(__file__).with_name("pre_receive.py")
        hook.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "{self.store}" {REGULAR_LIMIT}\n')
        hook.chmod(0o755)
        self.commit({".gitattributes": _GITATTRIBUTES.encode()}, message="initial commit", author=author)

    def git(self, *arguments: str, data: bytes | None = None) -> bytes:
        """The output of a git command in this repository."""
        command = ["git", "-C", str(self.path), *arguments]
        done = subprocess.run(command, input=data, capture_output=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def sha(self, revision: str = "main") -> str | None:
        """The commit that `revision` (branch, tag, ref, commit) names."""
        try:
            return self.git("rev-parse", "--verify", "-q", f"{revision}^{{commit}}").decode().strip()
        except RuntimeError:
            return None

    def entries(self, revision: str, *, recursive: bool = True) -> list[Entry]:
        """The files of a commit, with LFS pointers resolved."""
        options = ["-r", "-t"] if recursive else []
        listing = self.git("ls-tree", "-z", "-l", *options, revision).decode().split("\0")[:-1]
        entries = []
        for line in listing:
            (_, kind, oid, size), path = line.split("\t")[0].split(), line.split("\t", 1)[1]
            if kind == "tree":
                entries.append(Entry("directory", path, oid, 0))
                continue
            lfs = read_pointer(self.git("cat-file", "blob", oid)) if int(size) < 200 else None
            entries.append(Entry("file", path, oid, int(size), lfs))
        return entries

    def entry(self, revision: str, path: str) -> Entry | None:
        """One file or folder of a commit."""
        return next((entry for entry in self.entries(revision) if entry.path == path), None)

    def read(self, path: str, revision: str = "main") -> bytes:
        """The content of a file, from the LFS store if it is there."""
        entry = self.entry(revision, path)
        if entry is None:
            raise FileNotFoundError(f"{path} at {revision} of {self.path.name}")
        return self.object(entry.lfs[0]).read_bytes() if entry.lfs else self.git("cat-file", "blob", entry.oid)

    def object(self, sha256: str) -> Path:
        """The path of an object in the LFS store."""
        return self.store / sha256[:2] / sha256

    def uses_lfs(self, path: str, revision: str = "main") -> bool:
        """True if `.gitattributes` sends `path` to the LFS store."""
        try:
            lines = self.read(".gitattributes", revision).decode().splitlines()
        except FileNotFoundError:
            return False
        patterns = [line.split()[0] for line in lines if "filter=lfs" in line]
        name = path.rsplit("/", 1)[-1]
        return any(fnmatch.fnmatch(path if "/" in pattern else name, pattern) for pattern in patterns)

    def commit(
        self,
        files: dict[str, bytes],
        *,
        message: str = "somebody's commit",
        author: str = "somebody",
        branch: str = "main",
        deleted: Iterable[str] = (),
    ) -> str:
        """Commit `files` to `branch` in one `git fast-import`, completely or not at all."""
        ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
        who = f"{author} <{author}@example.com> {int(time.time())} +0000"
        with self.lock:
            head = self.sha(ref)
            parts = [f"commit {ref}\ncommitter {who}\n".encode(), _data(message.encode())]
            if head:
                parts.append(f"from {head}\n".encode())
            parts += [f"D {_quoted(path)}\n".encode() for path in deleted]
            for path, content in files.items():
                parts += [f"M 100644 inline {_quoted(path)}\n".encode(), _data(content)]
            self.git("fast-import", "--quiet", "--date-format=raw", data=b"".join(parts))
            new = self.sha(ref)
        assert new
        return new

    def commits(self, branch: str = "main") -> list[str]:
        """Subjects of a branch's commits, newest first."""
        return self.git("log", "--format=%s", branch).decode().splitlines()


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
