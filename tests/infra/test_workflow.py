"""The preview workflow: what of it can be held without GitHub, and without a network."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.infra.program import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "preview.yml"
TEXT = WORKFLOW.read_text()
JOB = yaml.safe_load(TEXT)["jobs"]["preview"]


def test_it_runs_for_every_stack_with_the_version_that_the_sdk_is_pinned_to() -> None:
    assert JOB["strategy"]["matrix"]["stack"] == ["primary", "dr", "link"]
    (pulumi,) = [step["with"] for step in JOB["steps"] if "pulumi/" in step.get("uses", "")]
    assert pulumi["pulumi-version"] == importlib.metadata.version("pulumi")
    assert pulumi["comment-on-pr"] is True


def test_drift_is_looked_for_in_the_base_with_the_same_version() -> None:
    job = yaml.safe_load(TEXT)["jobs"]["in-line"]
    checkout, *others, check = job["steps"]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    assert "recovery.reconcile --region us-west-2 --check" in check["run"]
    (pulumi,) = [step["with"] for step in others if "pulumi/" in step.get("uses", "")]
    assert pulumi == {"pulumi-version": importlib.metadata.version("pulumi")}
    assert "head.repo.full_name == github.repository" in job["if"]


def test_a_fork_gets_neither_secret_nor_role() -> None:
    assert "secrets." not in TEXT
    assert "pull_request_target" not in TEXT
    assert "head.repo.full_name == github.repository" in JOB["if"]


def test_every_action_is_pinned_to_a_commit() -> None:
    used = [step["uses"] for step in JOB["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each) for each in used)


BIN = Path(sys.executable).parent
LINTERS = {
    "zizmor": [str(BIN / "zizmor"), "--offline", "--no-config", "--quiet"],
    "schema": [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows"],
}


def lint(linter: str, workflow: Path) -> subprocess.CompletedProcess[str]:
    command = [*LINTERS[linter], str(workflow)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("linter", LINTERS)
def test_linters_find_nothing_in_it(linter: str) -> None:
    found = lint(linter, WORKFLOW)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(
    ("linter", "sound", "planted", "said"),
    [
        ("zizmor", "  pull_request:", "  pull_request_target:", "dangerous-triggers"),
        ("zizmor", "uv sync", "echo ${{ github.head_ref }}; uv sync", "template-injection"),
        ("schema", "timeout-minutes: 20", "timeout-minuts: 20", "timeout-minuts"),
    ],
)
def test_linters_find_what_is_planted(
    tmp_path: Path, linter: str, sound: str, planted: str, said: str
) -> None:
    workflow = tmp_path / ".github" / "workflows" / "preview.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(TEXT.replace(sound, planted, 1))
    assert workflow.read_text() != TEXT
    found = lint(linter, workflow)
    assert found.returncode != 0
    assert said in found.stdout + found.stderr
