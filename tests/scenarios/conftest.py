"""Stories need a lab, and are told in the order in which they are written."""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.scenarios.stage import Lab, await_nothing_left, leftovers, new_lab

HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Undo the shuffling here: what a region went through in one test, the next goes on from.

    The stories come last, each in one piece: a lab is one module's.
    """
    told = [item for item in items if HERE in item.path.parents]
    others = [item for item in items if HERE not in item.path.parents]
    items[:] = others + sorted(told, key=lambda item: item.location[:2])


@pytest.fixture
def bare(tmp_path):
    """A directory in which no lab runs yet; whatever runs in the end is taken down."""
    lab = Lab(tmp_path)
    yield lab
    with suppress(FileNotFoundError):
        os.kill(lab.state["supervisor"], signal.SIGTERM)
        await_nothing_left(lab, lab.run_dir)
    shutil.rmtree(tmp_path / ".lab", ignore_errors=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A whole lab under load, one for all stories of a module."""
    lab = new_lab(tmp_path_factory)
    lab.up("--customers", "2", "--speed", "1000")
    run_dir = lab.run_dir
    yield lab
    assert lab.down().returncode == 0
    assert leftovers(run_dir) == []
