"""Hypothesis profiles, and the folder of models and images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No deadlines: the first call of a kernel compiles it. Derandomized in CI, so that a failure stays a failure.
settings.register_profile("dev", max_examples=20, deadline=None)
settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "nightly", max_examples=5000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder that holds models/ and data/, or skip the test and say why."""
    named = os.environ.get("POLYGEOM_DATA")
    if not named:
        pytest.skip("POLYGEOM_DATA is not set: no folder of models and images to read")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"POLYGEOM_DATA={named} is not a folder")
    return folder


@pytest.fixture
def nothing_fetched(monkeypatch, tmp_path) -> Path:
    """Return the folder where `polygeom fetch` would put files; it is empty, and POLYGEOM_DATA is not set."""
    monkeypatch.delenv("POLYGEOM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "polygeom" / "fetched"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for the fixture `data`, so that -m "not data" leaves it out."""
    for item in items:
        if "data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)
