"""Any learner of any size: what is saved is what is loaded, and nothing that is predicted is not finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from histodecon.models import TRANSFORMS, AbundanceRegressor, EncoderRecord

NAMES = st.text(min_size=1, max_size=12).filter(lambda name: name.isprintable() and name.strip() == name)
NETWORK = st.fixed_dictionaries(
    {"hidden": st.integers(2, 9), "n_networks": st.integers(1, 3), "max_epochs": st.integers(1, 2)},
    optional={
        "dropout": st.floats(0, 0.5),
        "batch_size": st.integers(2, 40),
        "l1": st.floats(0, 2),
        "l2": st.floats(0, 2),
    },
)
LEARNERS = st.one_of(
    st.just(("mean", {})),
    st.tuples(st.just("ridge"), st.fixed_dictionaries({}, optional={"strength": st.floats(1e-3, 1e3)})),
    st.tuples(st.just("mlp"), NETWORK),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    learner=LEARNERS,
    rows=st.integers(2, 25),
    widths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    types=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    transform=st.sampled_from(TRANSFORMS),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
    seed=st.integers(0, 99),
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_saved_is_what_is_loaded(learner, rows, widths, types, transform, dtype, seed) -> None:
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(rows, sum(widths))).astype(dtype), rng.gamma(0.7, 3.0, (rows, len(types)))
    records = [EncoderRecord(f"X_{i}", f"e{i}", width) for i, width in enumerate(widths)]
    model = AbundanceRegressor(
        learner[0], params=learner[1] or None, transform=transform, device="cpu", random_state=seed
    )
    model.fit(X, Y, groups=rng.integers(0, 3, rows), encoders=records, cell_types=types)
    again = AbundanceRegressor.from_bytes(model.to_bytes())
    new = rng.normal(size=(7, X.shape[1])).astype(dtype)
    assert np.isfinite(model.predict(new)).all()
    np.testing.assert_array_equal(again.predict(new), model.predict(new))
    assert again.cell_types_ == tuple(types)
    assert again.encoders_ == model.encoders_
    assert again.to_bytes() == model.to_bytes()
