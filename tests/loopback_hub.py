"""A Hub of one's own on 127.0.0.1: enough of its protocol to fetch a file and to push some, and all the ways to fail."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "lab/net"
TOKEN = "hf_MARKERMARKERMARKERMARKERMARKER0000"
CONTENT = random.Random(0).randbytes(300_000)
PAGE = b"<!DOCTYPE html><html><body>Log in to the network</body></html>"


@dataclass
class LoopbackHub:
    """What it holds, how it fails, and what it was asked.

    Parameters
    ----------
    files
        From name to content, all at ``commit`` of ``REPO``.
    refuse
        ``(status, X-Error-Code)`` for every request; None answers.
    cut
        Content of an answer to GET is cut after so many bytes, the connection with it.
    cuts
        How many answers are cut; others are whole.
    page
        A web page comes with status 200: ``"head"`` for every request, ``"get"`` for downloads only.
    page_type
        Content type of that page.
    damage
        One byte of the content is another than announced.
    ranges
        Whether it can begin in the middle.
    stall
        Nothing is answered before this event.
    visible
        Whether the repository is there before somebody makes it, and everybody can read it: True, False (private), None (absent).
    refuse_post
        ``(status, X-Error-Code)`` for requests that write.
    older
        What earlier commits held.
    """

    files: dict[str, bytes]
    commit: str = COMMIT
    refuse: tuple[int, str | None] | None = None
    refuse_get: int | None = None
    cut: int | None = None
    cuts: int = 10**9
    page: str = ""
    page_type: str = "text/html"
    damage: bool = False
    ranges: bool = True
    moved: bool = False
    small: bool = False
    stall: threading.Event | None = None
    visible: bool | None = True
    refuse_post: tuple[int, str | None] | None = None
    older: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list, repr=False)
    url: str = ""

    def etag(self, name: str) -> str:
        """Digest as the Hub states it."""
        content = self.files[name]
        if self.small:
            return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return hashlib.sha256(content).hexdigest()

    def take(self, files: dict[str, bytes]) -> None:
        """Add files in a commit of their own."""
        self.older[self.commit] = dict(self.files)
        self.files |= files
        self.commit = hashlib.sha1(repr((self.commit, sorted(files.items()))).encode()).hexdigest()

    def go_back(self, commit: str) -> None:
        """Show an earlier commit as if it were the last."""
        self.commit, self.files = commit, self.older[commit]

    def count(self, method: str) -> int:
        """How many requests of a method came."""
        return sum(asked[0] == method for asked in self.asked)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(self._head)

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        hub = self.hub
        hub.asked.append((self.command, self.path, ""))
        hub.tokens.append(self.headers.get("Authorization", ""))
        if hub.stall is not None:
            hub.stall.wait()
        if hub.refuse_post is not None:
            self._refuse(*hub.refuse_post)
        elif self.path == "/api/repos/create":
            wanted = json.loads(content)
            exists = hub.visible is not None
            if not exists:  # older clients say `private`
                hub.visible = wanted.get("visibility", "private" if wanted.get("private") else "public") == "public"
            self._tell(
                {"url": f"{hub.url}/{wanted.get('organization')}/{wanted['name']}"}, status=409 if exists else 200
            )
        elif self.path == "/api/validate-yaml":
            self._tell({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(content)["files"]]
            self._tell({"files": [file | {"shouldIgnore": False} for file in files]})
        elif "/commit/" in self.path:
            entries = [json.loads(line) for line in content.splitlines()]
            values = [entry["value"] for entry in entries if entry["key"] == "file"]
            hub.take({value["path"]: base64.b64decode(value["content"]) for value in values})
            self._tell({"commitUrl": f"{hub.url}/{REPO}/commit/{hub.commit}", "commitOid": hub.commit})
        else:
            self._refuse(404, None)

    def _tell(self, facts: dict[str, object], *, status: int = 200) -> None:
        self._send(status, {"Content-Type": "application/json"}, json.dumps(facts).encode())

    def _answer(self, answer: Callable[[str], None]) -> None:
        hub = self.hub
        hub.asked.append((self.command, self.path, self.headers.get("Range", "")))
        hub.tokens.append(self.headers.get("Authorization", ""))
        if hub.stall is not None:
            hub.stall.wait()
        repo, _, rest = self.path.strip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if hub.refuse is not None:
            self._refuse(*hub.refuse)
        elif hub.page == "head" or (hub.page == "get" and self.command == "GET"):
            self._send(200, {"Content-Type": hub.page_type}, PAGE)
        elif self.path == f"/api/models/{REPO}":
            self._tell({"id": REPO, "private": not hub.visible, "sha": hub.commit, "siblings": [], "tags": []})
        elif hub.moved and repo == REPO:
            self._send(307, {"Location": self.path.replace(REPO, "lab/renamed")})
        elif repo not in (REPO, "lab/renamed"):
            self._refuse(404, "RepoNotFound")
        elif revision not in ("main", hub.commit):
            self._refuse(404, "RevisionNotFound")
        elif name not in hub.files:
            self._refuse(404, "EntryNotFound")
        else:
            answer(name)

    def _head(self, name: str) -> None:
        hub = self.hub
        headers = {"X-Repo-Commit": hub.commit, "ETag": f'"{hub.etag(name)}"'}
        if not hub.small:
            headers["X-Linked-Etag"] = f'"{hub.etag(name)}"'
            headers["X-Linked-Size"] = str(len(hub.files[name]))
        self._send(200, headers, hub.files[name])

    def _get(self, name: str) -> None:
        hub = self.hub
        if hub.refuse_get is not None:
            self._refuse(hub.refuse_get, None)
            return
        content = hub.files[name]
        if hub.damage:
            content = content[:-1] + bytes([content[-1] ^ 1])
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and hub.ranges else 0
        headers = {"Content-Type": "application/octet-stream"}
        if start >= len(content) > 0:
            self._send(416, {"Content-Range": f"bytes */{len(content)}"})
            return
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = None
        if hub.cut is not None and hub.cuts > 0:
            hub.cuts -= 1
            cut = hub.cut
        self._send(206 if start else 200, headers, content[start:], cut=cut)

    def _refuse(self, status: int, code: str | None) -> None:
        self._send(status, {"X-Error-Code": code} if code else {})

    def _send(self, status: int, headers: dict[str, str], content: bytes = b"", *, cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


@contextmanager
def loopback_hub(files: dict[str, bytes]) -> Iterator[LoopbackHub]:
    """Run a Hub."""
    hub = LoopbackHub(files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    server.handle_error = lambda *args: None  # a client that hung up
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        if hub.stall is not None:
            hub.stall.set()
        server.shutdown()
        server.server_close()
