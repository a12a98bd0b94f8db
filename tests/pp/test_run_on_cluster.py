"""A cluster gives what one process gives, to the last bit: also when a worker is killed, and after an error."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from tests_support import state_of
from tiny_networks import tiny_card

import histodecon as hd
from histodecon import InputError, ResourceError, UnsafeFileError

distributed = pytest.importorskip("distributed")

WIDTH, HEIGHT, SIZE, N = 500, 400, 16, 600
SHARDS = 6  # of two slides


@contextmanager
def two_workers(folder: Path) -> Iterator[distributed.Client]:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=str(folder)
        ) as cluster,
        distributed.Client(cluster) as one,
    ):
        yield one


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with two_workers(tmp_path_factory.mktemp("dask")) as one:
        yield one


@pytest.fixture
def doomed(tmp_path):
    """A cluster of one's own: a worker that dies while it starts again may not come back."""
    with two_workers(tmp_path) as one:
        yield one


@pytest.fixture
def cohort() -> tuple[ad.AnnData, dict[str, np.ndarray]]:
    """Two slides of noise in memory, one of them too large for the scheduler, their rows mixed."""
    rng = np.random.default_rng(0)
    names = rng.permutation(np.repeat(["A", "B"], N))
    obs = pd.DataFrame({"library_id": names}, index=[f"spot_{i}" for i in range(2 * N)])
    adata = ad.AnnData(np.zeros((2 * N, 1), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = rng.uniform(20, [WIDTH - 20, HEIGHT - 20], (2 * N, 2))
    pictures = {
        "A": rng.integers(60, 220, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        "B": rng.integers(60, 220, (3 * HEIGHT, WIDTH * 2, 3), dtype=np.uint8),
    }
    hd.pp.tile_spots(adata, size_px=SIZE, mpp=0.5, image=pictures)
    return adata, pictures


def moments(pause: float = 0.0, log: str | None = None):
    """Make a function that a worker knows by value; it says how often it was called."""

    def moments(tiles):
        time.sleep(pause)
        if log is not None:
            with Path(log).open("a") as file:
                file.write(f"{os.getpid()}\n")
        values = tiles.astype(np.float32)
        return np.concatenate([values.mean(axis=(1, 2)), values.std(axis=(1, 2))], axis=1)

    moments.input_px = SIZE
    return moments


def embed(adata, encoder, pictures, **kwargs):
    hd.pp.embed_tiles(adata, encoder, image=pictures, show_progress_bar=False, **kwargs)
    return adata


def seen(adata) -> dict[str, bytes]:
    return {key: adata.obsm[key].tobytes() for key in adata.obsm if key.startswith("X_")}


def workers_in(log: Path) -> list[int]:
    """Processes that called the function, the first one first; the calling process probes it, too."""
    pids = map(int, log.read_text().split()) if log.exists() else ()
    return [pid for pid in dict.fromkeys(pids) if pid != os.getpid()]


def nothing_is_left(client) -> bool:
    """Whether the cluster holds nothing of us, in a moment at most."""
    end = time.monotonic() + 10
    while client.futures or client.cluster.scheduler.tasks:
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def shards_in(folder: Path) -> int:
    return len(list(folder.rglob("shard_*.npy")))


def test_functions_and_networks_as_in_one_process(client, cohort, tmp_path: Path) -> None:
    adata, pictures = cohort
    encoders = [moments(), tiny_card("timm", tmp_path), "color_stats"]
    alone = embed(adata.copy(), encoders, pictures, cache_dir=False, device="cpu")
    shared = embed(adata.copy(), encoders, pictures, cache_dir=False, device="cpu", client=client)
    assert state_of(shared) == state_of(alone)
    assert len(seen(shared)) == 3
    assert nothing_is_left(client)


def test_files_and_lazy_images(client, cohort, tmp_path: Path, monkeypatch) -> None:
    from PIL import Image
    from spatialdata.models import Image2DModel

    adata, pictures = cohort
    monkeypatch.chdir(tmp_path)
    Image.fromarray(pictures["A"]).save("a.png")  # a path that means nothing in the folder of a worker
    lazy = Image2DModel.parse(pictures["B"], dims=("y", "x", "c"), chunks=(3, 256, 256))
    alone = embed(adata.copy(), moments(), pictures, cache_dir=False)
    shared = embed(adata.copy(), moments(), {"A": Path("a.png"), "B": lazy}, cache_dir=False, client=client)
    assert seen(shared) == seen(alone)


def test_each_worker_loads_an_encoder_once(client, cohort, tmp_path: Path) -> None:
    from histodecon.pp import _encode_shard

    adata, pictures = cohort
    for card in (tiny_card("timm", tmp_path), tiny_card("torch", tmp_path)):
        embed(adata, card, pictures, cache_dir=False, client=client)
        names = list(client.run(lambda: [one.name for _, one in _encode_shard._encoders.values()]).values())
        assert [card.name] in names
        assert all(len(held) <= 1 for held in names)
    assert not any(client.run(lambda: len(_encode_shard._pictures)).values())


@pytest.mark.parametrize("rows", [1, 64, 256, 257])
def test_few_spots(client, cohort, rows: int) -> None:
    adata, pictures = cohort
    few = adata[adata.obs["library_id"] == "A"][:rows].copy()
    alone = embed(few.copy(), moments(), {"A": pictures["A"]}, cache_dir=False)
    shared = embed(few.copy(), moments(), {"A": pictures["A"]}, cache_dir=False, client=client)
    assert seen(shared) == seen(alone)


def test_a_worker_is_killed(client, cohort, tmp_path: Path) -> None:
    adata, pictures = cohort
    log = tmp_path / "log"
    alone = embed(adata.copy(), moments(), pictures, cache_dir=False)
    victims = []

    def kill():
        while not workers_in(log):
            time.sleep(0.01)
        victims.append(workers_in(log)[0])
        os.kill(victims[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    shared = embed(adata.copy(), moments(0.1, str(log)), pictures, cache_dir=False, client=client)
    killer.join()
    assert seen(shared) == seen(alone)
    assert set(workers_in(log)) - set(victims)  # somebody else went on
    client.wait_for_workers(2, timeout=120)


def test_the_only_worker_is_killed_with_the_image_that_it_held(client, cohort, tmp_path: Path, monkeypatch) -> None:
    from histodecon.pp import _run_on_cluster

    monkeypatch.setattr(_run_on_cluster, "SMALL", 0)  # nothing stays with the scheduler
    adata, pictures = cohort
    log = tmp_path / "log"
    alone = embed(adata.copy(), moments(), pictures, cache_dir=False)

    def kill_both():
        while not workers_in(log):
            time.sleep(0.01)
        for pid in client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_both)
    killer.start()
    shared = embed(adata.copy(), moments(0.05, str(log)), pictures, cache_dir=False, client=client)
    killer.join()
    assert seen(shared) == seen(alone)
    client.wait_for_workers(2, timeout=120)


def test_errors_arrive_and_the_same_call_goes_on(client, cohort, tmp_path: Path) -> None:
    adata, pictures = cohort
    log, cache = tmp_path / "log", tmp_path / "cache"
    broken = tmp_path / "broken"
    good = moments(0.0, str(log))

    def moody(tiles):
        values = good(tiles)
        if broken.exists() and len(log.read_text().split()) > 14:
            values[0] = np.nan
        return values

    moody.input_px = SIZE
    broken.touch()
    before = state_of(adata)
    with pytest.raises(InputError, match=r"\[HD-BI-42\].*1 of \d+ spots of this batch: 'spot_\d+'") as caught:
        embed(adata, moody, pictures, cache_dir=cache, client=client)
    assert state_of(adata) == before
    kept = shards_in(cache)
    assert f"{kept} of {SHARDS} shards" in caught.value.__notes__[0]
    assert 0 < kept < SHARDS
    broken.unlink()
    assert nothing_is_left(client)
    time.sleep(0.3)  # what runs is finished
    log.unlink()
    embed(adata, moody, pictures, cache_dir=cache, client=client)
    batches = len([pid for pid in log.read_text().split() if pid != str(os.getpid())])
    assert batches <= 20 - 2 * kept  # of 64 spots; two slides have 20, a shard at least 2
    assert seen(adata)["X_moody"] == seen(embed(adata.copy(), moments(), pictures, cache_dir=False))["X_moments"]
    assert nothing_is_left(client)


def test_what_one_process_kept_a_cluster_takes_over(client, cohort, tmp_path: Path) -> None:
    adata, pictures = cohort
    card = tiny_card("timm", tmp_path)
    alone = embed(adata.copy(), card, pictures, cache_dir=tmp_path / "cache", device="cpu")
    done = shards_in(tmp_path / "cache")
    shared = embed(adata.copy(), card, pictures, cache_dir=tmp_path / "cache", device="cpu", client=client)
    assert done == shards_in(tmp_path / "cache") == SHARDS
    assert seen(shared) == seen(alone)


def test_weights_that_changed_are_refused_by_the_worker(client, cohort, tmp_path: Path) -> None:
    adata, pictures = cohort
    card = tiny_card("timm", tmp_path)
    loaded = hd.encoders.load_encoder(card, device="cpu")
    path = Path(loaded.card.weights_file)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(hd.ModelMismatchError, match=r"\[HD-BI-85\]"):
        embed(adata, loaded, pictures, cache_dir=False, client=client)


def test_files_that_could_run_code_are_refused(client, cohort, tmp_path: Path) -> None:
    adata, pictures = cohort
    card = tiny_card("timm", tmp_path)
    loaded = hd.encoders.load_encoder(card, device="cpu")
    Path(loaded.card.weights_file).write_bytes(pickle.dumps(os.getpid))
    with pytest.raises((UnsafeFileError, hd.IntegrityError, hd.ModelMismatchError), match=r"\[HD-") as caught:
        embed(adata, loaded, pictures, cache_dir=False, client=client)
    assert "To fix it" in str(caught.value)


def test_another_image_under_the_same_path(client, cohort, tmp_path: Path, monkeypatch) -> None:
    from histodecon.images import SlideImage

    adata, pictures = cohort
    monkeypatch.setattr(SlideImage, "digest", lambda self: adata.uns["histodecon"]["tiles"]["A"]["image_digest"])
    one = adata[adata.obs["library_id"] == "A"].copy()
    with pytest.raises(InputError, match=r"\[HD-BI-52\] A worker finds another image"):
        embed(one, moments(), {"A": pictures["A"][::-1].copy()}, cache_dir=False, client=client)


def test_workers_that_die_again_and_again(doomed, cohort, monkeypatch) -> None:
    monkeypatch.setattr(doomed.cluster.scheduler, "allowed_failures", 0)  # three by default
    adata, pictures = cohort
    here = os.getpid()

    def deadly(tiles):
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return tiles.mean(axis=(1, 2))

    deadly.input_px = SIZE
    before = state_of(adata)
    with pytest.raises(ResourceError, match=r"\[HD-FI-20\].*same shard.*'spot_\d+'"):
        embed(adata, deadly, pictures, cache_dir=False, client=doomed)
    assert state_of(adata) == before


@pytest.mark.usefixtures("signals_are_heard")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_takes_the_work_back(client, cohort, tmp_path: Path, monkeypatch, how) -> None:
    adata, pictures = cohort
    log = tmp_path / "log"

    from histodecon.pp import _run_on_cluster

    taken = []
    original = _run_on_cluster.ShardCache.save

    def save(self, *arguments):
        original(self, *arguments)
        taken.append(arguments[2])
        signal.raise_signal(how)

    monkeypatch.setattr(_run_on_cluster.ShardCache, "save", save)
    with pytest.raises(KeyboardInterrupt):
        embed(adata, moments(0.05, str(log)), pictures, cache_dir=tmp_path / "cache", client=client)
    assert len(taken) == 1
    assert nothing_is_left(client)
    time.sleep(0.7)  # what runs is finished
    calls = len(log.read_text().split())
    time.sleep(0.5)
    assert len(log.read_text().split()) == calls


def test_warnings_of_workers_are_heard_once(client, cohort) -> None:
    adata, pictures = cohort
    here = os.getpid()

    def narrow(tiles):
        if len(tiles) > 32 and os.getpid() != here:
            raise MemoryError("out of memory")
        return tiles.mean(axis=(1, 2))

    narrow.input_px = SIZE
    with pytest.warns(hd.FallbackWarning, match=r"\[HD-FI-17\] 64 tiles at once") as heard:
        embed(adata, narrow, pictures, cache_dir=False, client=client)
    assert len({str(one.message) for one in heard}) == len(heard)


def test_what_cannot_be_sent(client, cohort) -> None:
    adata, pictures = cohort
    lock = threading.Lock()

    def locked(tiles):
        with lock:
            return tiles.mean(axis=(1, 2))

    locked.input_px = SIZE
    with pytest.raises(InputError, match=r"\[HD-BI-51\] Encoder 'locked' cannot be sent"):
        embed(adata, locked, pictures, cache_dir=False, client=client)


def test_a_client_is_a_client(client, cohort) -> None:
    adata, pictures = cohort
    with pytest.raises(InputError, match=r"\[HD-BI-72\].*not a str"):
        embed(adata, moments(), pictures, client="tcp://127.0.0.1:8786")
    closed = distributed.Client(client.scheduler.address, set_as_default=False)
    closed.close()
    with pytest.raises(InputError, match=r"\[HD-BI-72\].*closed"):
        embed(adata, moments(), pictures, client=closed)
