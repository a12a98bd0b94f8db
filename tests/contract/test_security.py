"""What `docs/security.md` promises."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import histodecon as hd

ROOT = Path(__file__).parents[2]
if not (ROOT / "docs").exists():
    pytest.skip("not a checkout", allow_module_level=True)
SRC = Path(hd.__file__).parent
PAGE = (ROOT / "docs" / "security.md").read_text()
RUFF = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
TOKEN = "hf_" + "MarkerThatNobodyMaySee" * 2

FORBIDDEN = {
    "pickle": "import pickle\n\npickle.loads(b'')\n",
    "eval": "eval('1')\n",
    "exec": "exec('1')\n",
    "shell": "import subprocess\n\nsubprocess.run('ls', shell=True)\n",
    "system": "import os\n\nos.system('ls')\n",
    "yaml": "import yaml\n\nyaml.load('')\n",
    "torch": "import torch\n\ntorch.load('x')\n",
    "joblib": "import joblib\n\njoblib.load('x')\n",
    "archives": "import tarfile\n\ntarfile.open('x').extractall()\n",
    "certificates": "import requests\n\nrequests.get('x', verify=False)\n",
    "xml": "import xml.etree.ElementTree\n\nxml.etree.ElementTree.parse('x')\n",
    "requests": "import requests\n",
    "sockets": "import socket\n\nsocket.create_connection(('x', 1))\n",
}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every attempt to reach another machine fails and is counted."""
    tried: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        tried.append(arguments)
        msg = "the network is blocked"
        raise OSError(msg)

    connect = socket.socket.connect
    monkeypatch.setattr(
        socket.socket,
        "connect",
        lambda self, address: (
            connect(self, address) if self.family == getattr(socket, "AF_UNIX", None) else refuse(address)
        ),
    )
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return tried


def journey(sdata: Any) -> Any:
    hd.pp.tile_spots(sdata)
    hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
    adata = sdata["table"]
    hd.tl.set_targets(adata, "true_abundance")
    hd.tl.cross_validate(adata, use_rep="X_color_stats", learner="ridge")
    hd.tl.train_regressor(adata, use_rep="X_color_stats", learner="ridge")
    hd.tl.predict_abundance(adata)
    hd.tl.evaluate(adata)
    hd.tl.colocalization(adata)
    return adata


def test_the_journey_needs_no_network_and_shows_no_token(
    no_network: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Promises 4, 5 and 10: nothing is asked of anybody, and neither token, user, host nor folder is in what is kept."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", TOKEN)
    sdata = hd.datasets.toy_slide(n_patients=3)
    adata = journey(sdata)
    hd.pl.abundance(adata, "T-cells", library_id="toy_1", show=False, save=tmp_path / "a.png")
    hd.pl.colocalization(adata, show=False, save=tmp_path / "b.png")
    hd.write(adata, tmp_path / "a.h5ad")
    hd.write(sdata, tmp_path / "a.zarr")
    hd.verify(tmp_path / "a.h5ad")
    assert no_network == []
    said = capfd.readouterr()
    assert TOKEN not in said.out + said.err
    secrets = [TOKEN.encode(), str(Path.home()).encode() + b"/", str(tmp_path).encode(), socket.gethostname().encode()]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [one for one in secrets if len(one) > 6 and one in content], path.name


def test_the_journey_needs_no_network(no_network: list[Any]) -> None:
    """FI-25: blocked sockets are seen by the fixture, so that the test above can fail."""
    with pytest.raises(OSError, match="blocked"):
        socket.create_connection(("localhost", 9))
    assert len(no_network) == 1


def test_forbidden_calls_are_forbidden(tmp_path: Path) -> None:
    """Promises 1, 2, 6 and 7 (FI-34): the linter refuses what would break them."""
    pytest.importorskip("ruff", reason="the linter is a tool of developers, which the tests alone do not bring")
    for name, code in FORBIDDEN.items():
        command = [
            "ruff",
            "check",
            "--config",
            str(ROOT / "pyproject.toml"),
            "--stdin-filename",
            str(SRC / "new.py"),
            "-",
        ]
        done = subprocess.run([sys.executable, "-m", *command], input=code, capture_output=True, text=True)
        assert re.search(r"\b(S\d{3}|TID251)\b", done.stdout), (name, done.stdout)


def test_exceptions_from_the_rules_have_a_reason() -> None:
    for path in SRC.rglob("*.py"):
        for line in path.read_text().splitlines():
            if re.search(r"noqa: (S\d|TID251)", line):
                assert re.search(r"noqa: [A-Z0-9, ]+ \w+", line), f"{path.name}: {line.strip()}"


def test_nothing_is_unpickled_but_by_workers() -> None:
    """Promise 1: encoders travel to workers of the user's own cluster the way their tasks do; nothing else is."""
    users = {
        path.relative_to(SRC).as_posix()
        for path in SRC.rglob("*.py")
        if re.search(r"pickle\.loads?\(", path.read_text())
    }
    assert users <= {"pp/_encode_shard.py"}
    assert not [
        path
        for path in SRC.rglob("*.py")
        if re.search(r"allow_pickle=True|trust_remote_code=True|weights_only=False", path.read_text())
    ]


def test_encoders_are_pinned() -> None:
    """Promise 3."""
    for name in hd.encoders.list_encoders().index:
        card = hd.encoders.get_encoder_card(name)
        if card.repo:
            assert re.fullmatch(r"[0-9a-f]{40}", card.revision or ""), name


def test_pillow_is_left_alone() -> None:
    """Promise 6."""
    code = (
        "import PIL.Image, PIL.ImageFile\n"
        "before = PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES\n"
        "import histodecon as hd, numpy as np\n"
        "hd.images.open_image(np.full((9, 9, 3), 200, np.uint8)).read(0, 0, 3, 3)\n"
        "[getattr(getattr(hd, r), n) for r in ('images', 'io', 'pp', 'encoders') for n in getattr(hd, r).__all__]\n"
        "assert (PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES) == before\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_and_the_policy_say_the_same() -> None:
    policy = (ROOT / "SECURITY.md").read_text()
    assert "90 days" in policy
    assert "90 days" in PAGE
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", PAGE, re.M)]
    assert numbers == list(range(1, 13))
    assert set(RUFF["select"]) >= {"S", "TID"}
