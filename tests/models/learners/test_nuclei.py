"""Nuclei typed from sums over spots, where the truth is planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import histodecon as hd
from histodecon.models import AbundanceRegressor
from histodecon.models._nucleus_network import build_nucleus_network, members, sum_loss

K, D = 3, 6
QUICK = {"n_networks": 2, "max_epochs": 60, "hidden": 16}


def planted(n_spots: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings of nuclei, their types, their spots, and the counts of their spots."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 12, n_spots)
    bags = np.repeat(np.arange(n_spots), sizes)
    mixture = rng.dirichlet(np.full(K, 0.7), n_spots)
    kind = np.array([rng.choice(K, p=mixture[bag]) for bag in bags])
    middle = np.random.default_rng(99).normal(size=(K, D)) * 2
    X = (middle[kind] + rng.normal(size=(len(kind), D))).astype(np.float32)
    counts = np.stack([np.bincount(kind[bags == bag], minlength=K) for bag in range(n_spots)]).astype(float)
    return X, kind, bags, counts


def trained(params: dict | None = None, **told) -> AbundanceRegressor:
    X, _, bags, counts = planted()
    given = {"y": counts[bags], "bags": bags, "groups": bags % 4, **told}
    model = AbundanceRegressor("nuclei", params=params or QUICK, device="cpu")
    return model.fit(X, given.pop("y"), cell_types=["a", "b", "c"], **given)


@pytest.fixture(scope="module")
def model() -> AbundanceRegressor:
    return trained()


def test_nuclei_never_seen_are_typed_though_only_sums_were_told(model) -> None:
    X, kind, _, counts = planted(seed=1)
    predicted = model.predict(X)
    assert (predicted >= 0).all()
    assert np.mean(predicted.argmax(axis=1) == kind) > 0.85
    np.testing.assert_allclose(predicted.sum(axis=0), counts.sum(axis=0), rtol=0.2)


def test_a_nucleus_in_no_spot_teaches_nothing() -> None:
    X, _, bags, counts = planted()
    outside = np.where(bags < 100, bags, -1)
    wild = np.where(outside[:, None] < 0, 999.0, counts[bags])
    kept = outside >= 0
    params = {**QUICK, "max_epochs": 8}
    how = {"params": params, "device": "cpu"}
    model = AbundanceRegressor("nuclei", **how).fit(X, wild, bags=outside, groups=bags % 4)
    center, scale = model.input_center_, model.input_scale_
    other = AbundanceRegressor("nuclei", **how).fit(
        np.where(kept[:, None], X, X), np.where(kept[:, None], wild, 0.0), bags=outside, groups=bags % 4
    )
    np.testing.assert_array_equal(center, other.input_center_)
    np.testing.assert_array_equal(scale, other.input_scale_)
    np.testing.assert_array_equal(model.predict(X), other.predict(X))


def test_the_unit_of_the_targets_does_not_matter() -> None:
    X, _, bags, counts = planted()
    one, ten = (trained({**QUICK, "max_epochs": 8}, y=factor * counts[bags]) for factor in (1, 16))
    np.testing.assert_allclose(16 * one.predict(X), ten.predict(X), rtol=2e-2, atol=1e-3)


def test_labels_of_single_nuclei_join_in_as_spots_of_their_own() -> None:
    """The deviance of one nucleus with a one-hot target is its cross-entropy and a term that keeps its sum at 1."""
    scores = torch.tensor([[0.2, 1.3, 0.4]], requires_grad=True)
    target = torch.tensor([[0.0, 1.0, 0.0]])
    loss = sum_loss(scores, torch.zeros(1, dtype=torch.int64), target, torch.tensor(1.0)) / 2
    total = scores.sum()
    entropy = torch.nn.functional.cross_entropy(scores.log(), torch.tensor([1]))
    torch.testing.assert_close(loss, entropy - total.log() + total - 1)
    X, _, bags, counts = planted(12)
    labeled, own, _, _ = planted(30, seed=5)
    Xs = np.concatenate([X, labeled])
    codes = np.concatenate([bags, 1000 + np.arange(len(labeled))])
    targets = np.concatenate([counts[bags], np.eye(K)[own]])
    few = AbundanceRegressor("nuclei", params=QUICK, device="cpu").fit(X, counts[bags], bags=bags)
    more = AbundanceRegressor("nuclei", params=QUICK, device="cpu").fit(Xs, targets, bags=codes)
    unseen, truth, _, _ = planted(seed=2)
    right = [np.mean(one.predict(unseen).argmax(axis=1) == truth) for one in (few, more)]
    assert right[1] >= right[0]
    assert right[1] > 0.9


def test_gradients_are_finite_where_it_is_hard() -> None:
    network = build_nucleus_network(D, K, hidden=4, dropout=0.0, input_dropout=0.0)
    for value in (0.0, 1e6, -1e6):
        network.zero_grad()
        X = torch.full((3, D), value)
        place = torch.tensor([0, 0, 1])
        for targets in (torch.zeros(2, K), torch.full((2, K), 1e4)):
            loss = sum_loss(network(X), place, targets, torch.tensor(1.0))
            loss.backward()
            assert torch.isfinite(loss)
            assert all(torch.isfinite(one.grad).all() for one in network.parameters())
    zero = sum_loss(torch.tensor([[1.0, 0.0]] * 2), torch.tensor([0, 0]), torch.tensor([[2.0, 0.0]]), torch.tensor(1.0))
    assert float(zero) == pytest.approx(0, abs=1e-5)


def test_the_rows_of_bags_are_listed() -> None:
    first, size = torch.tensor([0, 3, 5]), torch.tensor([3, 2, 4])
    rows, place = members(first, size, torch.tensor([2, 0]))
    assert rows.tolist() == [5, 6, 7, 8, 0, 1, 2]
    assert place.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_it_comes_back_from_its_file(model, tmp_path) -> None:
    X = planted(seed=1)[0]
    model.save(tmp_path / "nuclei.safetensors")
    np.testing.assert_array_equal(AbundanceRegressor.load(tmp_path / "nuclei.safetensors").predict(X), model.predict(X))
    assert model.training_["n_bags"] == 120


def test_what_it_cannot_learn_from_is_refused() -> None:
    X, _, bags, counts = planted()
    with pytest.raises(hd.InputError, match="BI-124"):
        AbundanceRegressor("nuclei").fit(X, counts[bags])
    with pytest.raises(hd.InputError, match="learns targets as they are"):
        AbundanceRegressor("nuclei", transform="log1p").fit(X, counts[bags], bags=bags)
    with pytest.raises(hd.InputError, match="different targets"):
        AbundanceRegressor("nuclei", params=QUICK).fit(X, np.abs(X[:, :K]), bags=bags)
    with pytest.raises(hd.InputError, match="takes no weights"):
        AbundanceRegressor("nuclei", params=QUICK).fit(X, counts[bags], bags=bags, weights=np.ones(len(X)))
