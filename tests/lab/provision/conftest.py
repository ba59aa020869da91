"""A plain moto server, and a project folder whose programs are provisioned against it."""

from __future__ import annotations

import os
import textwrap
import threading
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

# Read by moto when its modules load.
os.environ.setdefault("MOTO_ACM_VALIDATION_WAIT", "0")

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import ThreadedWSGIServer

from lab.provision.clients import LabClients
from lab.provision.stacks import Outcome, Run, provision
from lab.provision.world import Step
from tests.lab.provision.whole import Lab, ended, serve

PROJECT = """
name: shop
runtime: python
config:
  size: {type: integer, default: 2}
"""

PREAMBLE = """
import pulumi
import pulumi_aws as aws

config = pulumi.Config()
provider = aws.Provider("here", region="eu-west-1")
here = pulumi.ResourceOptions(provider=provider)
"""


class _Handler(MotoRequestHandler):
    def log_request(self, code="-", size="-"):
        pass


@pytest.fixture(scope="session")
def moto_url():
    server = ThreadedWSGIServer(
        "127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), handler=_Handler
    )
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def moto(moto_url, monkeypatch):
    """An empty AWS; boto3 clients of this test go there."""
    request = urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST")
    urllib.request.urlopen(request).close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    return LabClients()


@dataclass
class Shop:
    """A project of one program, and the folder of its states."""

    root: Path
    clients: LabClients
    steps: list[Step] = field(default_factory=list)

    @property
    def run_dir(self):
        return self.root / "run"

    def write(self, program, stack="prod"):
        """Make this the program of every stack."""
        (self.root / "Pulumi.yaml").write_text(PROJECT)
        (self.root / f"Pulumi.{stack}.yaml").write_text("config: {}\n")
        (self.root / "__main__.py").write_text(PREAMBLE + textwrap.dedent(program))

    def up(self, program=None, *, stack="prod", preview=False, **overrides) -> Outcome:
        """Provision, and return what was done."""
        if program is not None:
            self.write(program, stack)
        self.steps.clear()
        run = Run(
            root=self.root,
            run_dir=self.run_dir,
            clients=self.clients,
            overrides=overrides,
            preview=preview,
        )
        (outcome,) = provision(run, [stack], lambda _stack, step: self.steps.append(step))
        return outcome

    def state(self, stack="prod"):
        return (self.run_dir / "provision" / f"{stack}.json").read_text()


@pytest.fixture
def shop(tmp_path, moto):
    return Shop(root=tmp_path, clients=moto)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Make labs that are ended with the module."""
    running = []
    patch = pytest.MonkeyPatch()

    def make() -> Lab:
        folder = tmp_path_factory.mktemp("lab")
        process, url = serve(folder)
        running.append((process, folder))
        patch.setenv("AWS_ENDPOINT_URL", url)
        return Lab(url=url, run_dir=folder, clients=LabClients())

    yield make
    for process, folder in running:
        ended(process, folder)
    patch.undo()


@pytest.fixture
def actions():
    """What was done, as (action, name) pairs, without what stayed the same."""

    def listed(outcome):
        return sorted((s.action, s.name) for s in outcome.steps if s.action != "same")

    return listed


# What a program leaves unawaited after a failure; the SDK makes these coroutines.
UNAWAITED = "ignore:coroutine 'Output:RuntimeWarning"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(UNAWAITED))
