"""Every fix_*.py beside this file is a plugin, so that any test may use its fixtures."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Timing decides no test: on a busy machine an example takes as long as it takes.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

ENGINE = Path(__file__).parents[1] / "proxy/dbproxy/_core.abi3.so"
if ENGINE.is_symlink() and not ENGINE.exists():
    pytest.exit(f"{ENGINE.name} was built and is gone: `make python` builds it again", returncode=4)

pytest_plugins = sorted(f"tests.{path.stem}" for path in Path(__file__).parent.glob("fix_*.py"))
# Before any is imported, since they import each other.
pytest.register_assert_rewrite(*pytest_plugins)
