"""Where the real public data for tests lies: beside the checkout, or where TRUING_SHARED_DATA says."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("TRUING_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def shared(path: str) -> Path:
    """The file or folder `path` of the shared data; skips the test where it is absent."""
    found = ROOT / path
    if not found.exists():
        message = f"needs the public data file {path}, which is not under {ROOT}"
        if os.environ.get("REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found
