"""The regressor stands scikit-learn's own checks of estimators."""

from __future__ import annotations

import builtins
import warnings
from typing import Any

import pytest
from sklearn.utils import estimator_checks

from histodecon.models import AbundanceRegressor

WORDS = "it is refused, in other words than scikit-learn asks for"
EXPECTED = {
    "check_complex_data": WORDS,
    "check_estimators_empty_data_messages": WORDS,
    "check_fit2d_1sample": WORDS,
    "check_fit2d_predict1d": WORDS,
    "check_n_features_in_after_fitting": WORDS,
    "check_requires_y_none": WORDS,
    "check_dtype_object": "embeddings are never objects: names that look like numbers are a mistake (BI-48)",
    "check_regressor_multioutput": "its targets are negative, whatever the tags say; there are no fewer than 0 cells (BI-59)",
}
OF_THE_MEAN = {"check_regressors_train": "a constant explains nothing; that is what it is for"}


@pytest.mark.parametrize(("learner", "more"), [("ridge", {}), ("mean", OF_THE_MEAN)])
def test_the_checks_of_scikit_learn(learner: str, more: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def has(thing: Any, name: str) -> bool:  # `transform` is a parameter of the regressor, not a method
        return name != "transform" and builtins.hasattr(thing, name)

    monkeypatch.setattr(estimator_checks, "hasattr", has, raising=False)
    expected = {**EXPECTED, **more}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = estimator_checks.check_estimator(
            AbundanceRegressor(learner, device="cpu"), expected_failed_checks=expected, on_fail=None, on_skip=None
        )
    failed = [result for result in results if result["status"] == "failed"]
    assert not failed, [(result["check_name"], result["exception"]) for result in failed]
    assert sum(result["status"] == "passed" for result in results) >= 30
    stale = set(expected) - {result["check_name"] for result in results if result["status"] == "xfail"}
    assert not stale, "these pass, or are no longer asked"
    for result in results:
        if expected.get(result["check_name"]) == WORDS:
            assert isinstance(result["exception"], (ValueError, AssertionError))
