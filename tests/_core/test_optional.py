from __future__ import annotations

import pytest

from histodecon._core import import_optional, import_timm


def test_optional_package_names_its_extra() -> None:
    with pytest.raises(ImportError, match="FI-37"):
        import_optional("no_such_package_at_all")


def test_timm_imports_whether_or_not_torchvision_is_whole() -> None:
    assert import_timm().__version__
    assert import_timm() is import_timm()
