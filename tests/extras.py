"""What tests need that not every environment has: CI must have it, elsewhere they are skipped."""

import os
from importlib.util import find_spec

import pytest


def require_analytics() -> None:
    """Skip the test where pandas or pyarrow is missing; in CI fail it."""
    missing = [name for name in ("pandas", "pyarrow") if find_spec(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{' and '.join(missing)} must be installed in CI")
    if missing:
        pytest.skip(f"without {' and '.join(missing)}; `make test-setup` installs what is missing")
