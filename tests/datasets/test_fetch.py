"""What is kept is what was published."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from histodecon import HubError, IntegrityError, OfflineError
from histodecon.datasets import _fetch

CONTENT = b"x\ty\n1\t2\n"


@pytest.fixture
def net(monkeypatch):
    """A stand-in for the network: what it answers, and how often it was asked."""
    state = {"answer": CONTENT, "asked": 0}

    def download(url: str, target: Path, *, show_progress_bar: bool) -> None:
        state["asked"] += 1
        if isinstance(state["answer"], Exception):
            target.write_bytes(CONTENT[:3])
            raise state["answer"]
        target.write_bytes(state["answer"])

    monkeypatch.setattr(_fetch, "download", download)
    return state


def fetch(folder: Path) -> Path:
    return _fetch.fetch(
        "https://example.org/a.tsv", folder / "deep" / "a.tsv", _fetch.blob_sha1(CONTENT), layout="do this"
    )


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("content", [b"", CONTENT, bytes(range(256))])
def test_hash_is_that_of_git(content):
    found = subprocess.run(["git", "hash-object", "--stdin"], input=content, capture_output=True, check=True)
    assert _fetch.blob_sha1(content) == found.stdout.decode().strip()


def test_fetched_once(tmp_path, net):
    assert fetch(tmp_path).read_bytes() == CONTENT
    fetch(tmp_path)
    assert net["asked"] == 1
    (tmp_path / "deep" / "a.tsv").write_bytes(CONTENT[:-1])  # a damaged copy is fetched again
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert net["asked"] == 2


def test_another_file_is_not_kept(tmp_path, net):
    net["answer"] = b"<html>please log in</html>"
    with pytest.raises(IntegrityError, match=r"FI-22.*<html>please log in.*do this"):
        fetch(tmp_path)
    assert list((tmp_path / "deep").iterdir()) == []
    net["answer"] = CONTENT
    assert fetch(tmp_path).read_bytes() == CONTENT


def test_offline_and_refused(tmp_path, net):
    import requests

    net["answer"] = requests.ConnectionError("no route")
    with pytest.raises(OfflineError, match=r"FI-24.*example\.org.*no route.*do this"):
        fetch(tmp_path)
    response = requests.Response()
    response.status_code = 404
    net["answer"] = requests.HTTPError("404 Not Found", response=response)
    with pytest.raises(HubError, match="FI-28") as error:
        fetch(tmp_path)
    assert not isinstance(error.value, OfflineError)
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_real_server(tmp_path):
    import functools
    import http.server
    import threading

    (tmp_path / "a.tsv").write_bytes(CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_) -> None:
            return

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_address[1]}"
        sha1 = _fetch.blob_sha1(CONTENT)
        assert _fetch.fetch(f"{base}/a.tsv", tmp_path / "c" / "a.tsv", sha1, layout="").read_bytes() == CONTENT
        with pytest.raises(HubError, match=r"FI-28.*404"):
            _fetch.fetch(f"{base}/b.tsv", tmp_path / "c" / "b.tsv", sha1, layout="")
        server.shutdown()
