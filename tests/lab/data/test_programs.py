from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from lab.data import programs
from lab.data.programs import BIN_VARIABLE, ProgramError, locate


def test_the_wheel_s_programs_are_found_and_run(run_dir: Path) -> None:
    found = locate(run_dir / "unused")
    assert found.major == 18
    assert "initdb" in found.run(found.command("initdb", "--version"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as another user")
def test_programs_in_a_folder_that_the_servers_user_cannot_enter_are_copied(
    monkeypatch: pytest.MonkeyPatch, run_dir: Path
) -> None:
    original = locate(run_dir / "unused").folder
    hidden = Path(tempfile.mkdtemp(dir="/tmp"))
    package = original.parent.parent
    shutil.copytree(package, hidden / package.name)
    shutil.copytree(f"{package}.libs", hidden / f"{package.name}.libs")
    monkeypatch.setattr(
        programs, "_wheel_folder", lambda: hidden / package.name / "pginstall" / "bin"
    )
    found = locate(run_dir / "copies")
    assert found.folder.is_relative_to(run_dir / "copies")
    assert found.account
    assert "18" in found.run(found.command("initdb", "--version"))
    shutil.rmtree(hidden)


def test_a_folder_without_programs_is_named(monkeypatch: pytest.MonkeyPatch, run_dir: Path) -> None:
    monkeypatch.setenv(BIN_VARIABLE, str(run_dir))
    with pytest.raises(ProgramError, match=f"{run_dir} has no initdb, postgres"):
        locate(run_dir / "unused")


def test_the_user_s_own_settings_of_postgresql_reach_no_program(
    monkeypatch: pytest.MonkeyPatch, run_dir: Path
) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    assert "PGHOST" not in locate(run_dir / "unused").environment()
