"""The preview workflow: what of it can be held without GitHub."""

import importlib.metadata
import re

import yaml

from tests.infra.program import ROOT

TEXT = (ROOT / ".github" / "workflows" / "preview.yml").read_text()
JOB = yaml.safe_load(TEXT)["jobs"]["preview"]


def test_it_runs_for_every_stack_with_the_version_that_the_sdk_is_pinned_to() -> None:
    assert JOB["strategy"]["matrix"]["stack"] == ["primary", "dr", "link"]
    (pulumi,) = [step["with"] for step in JOB["steps"] if "pulumi/" in step.get("uses", "")]
    assert pulumi["pulumi-version"] == importlib.metadata.version("pulumi")
    assert pulumi["comment-on-pr"] is True


def test_a_fork_gets_neither_secret_nor_role() -> None:
    assert "secrets." not in TEXT
    assert "pull_request_target" not in TEXT
    assert "head.repo.full_name == github.repository" in JOB["if"]


def test_every_action_is_pinned_to_a_commit() -> None:
    used = [step["uses"] for step in JOB["steps"] if "uses" in step]
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each) for each in used)
