"""Which encoder knows what."""

from __future__ import annotations

import numpy as np
import pytest

from histodecon.models import AbundanceRegressor, EncoderRecord, encoder_weights
from histodecon.models._fusion_network import FusionNetwork

RECORDS = [EncoderRecord("X_a", "a", 12), EncoderRecord("X_b", "b", 30), EncoderRecord("X_c", "c", 8)]


def planted(n: int = 500, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first type is seen by the first encoder alone, the second by the second; the third encoder sees nothing."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 50)).astype(np.float32)
    Y = np.c_[X[:, :4].sum(axis=1), X[:, 12:16].sum(axis=1)] + 0.3 * rng.normal(size=(n, 2))
    return X, np.clip(Y + 8, 0, None), np.arange(n) % 4


@pytest.fixture(scope="module")
def fitted() -> AbundanceRegressor:
    X, Y, groups = planted()
    model = AbundanceRegressor("fusion", params={"n_networks": 2, "hidden": 32}, device="cpu")
    return model.fit(X, Y, groups=groups, encoders=RECORDS, cell_types=["seen by a", "seen by b"])


def test_weights_name_the_encoder_that_knows(fitted: AbundanceRegressor) -> None:
    table = encoder_weights(fitted)
    assert list(table.index) == ["seen by a", "seen by b"]
    assert list(table.columns) == ["X_a", "X_b", "X_c"]
    np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-4)
    assert table.idxmax(axis=1).tolist() == ["X_a", "X_b"]
    assert table["X_c"].max() < 0.3


def test_it_predicts(fitted: AbundanceRegressor) -> None:
    X, Y, _ = planted(seed=1)
    found = fitted.predict(X)
    assert min(np.corrcoef(Y[:, k], found[:, k])[0, 1] for k in range(2)) > 0.9


def test_weights_are_kept_in_the_file(fitted: AbundanceRegressor) -> None:
    again = AbundanceRegressor.from_bytes(fitted.to_bytes())
    assert encoder_weights(again).equals(encoder_weights(fitted))


def test_the_gate_is_a_mean_of_answers() -> None:
    """With one encoder its answer is the answer; at the start all encoders count alike."""
    import torch

    X = torch.randn(5, 9)
    assert torch.equal(FusionNetwork((9,), 3, hidden=4, dropout=0.0, input_dropout=0.0).gate(X), torch.ones(5, 3, 1))
    two = FusionNetwork((4, 5), 3, hidden=4, dropout=0.0, input_dropout=0.0)
    assert torch.allclose(two.gate(X), torch.full((5, 3, 2), 0.5))


def test_other_learners_have_no_such_weights() -> None:
    X, Y, _ = planted(60)
    with pytest.raises(ValueError, match="fusion"):
        encoder_weights(AbundanceRegressor("ridge").fit(X, Y))
