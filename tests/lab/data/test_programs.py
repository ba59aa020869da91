from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from lab.data import programs
from lab.data.programs import BIN_VARIABLE, ProgramError, locate


def test_the_wheel_s_programs_are_found_and_run(
    monkeypatch: pytest.MonkeyPatch, run_dir: Path
) -> None:
    monkeypatch.delenv(BIN_VARIABLE, raising=False)
    found = locate(run_dir / "unused")
    assert found.major == 18
    assert "initdb" in found.run(found.command("initdb", "--version"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the servers as another user")
def test_programs_in_a_folder_that_the_servers_user_cannot_enter_are_copied(
    monkeypatch: pytest.MonkeyPatch, run_dir: Path
) -> None:
    monkeypatch.delenv(BIN_VARIABLE, raising=False)
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


def test_a_server_too_old_is_refused(monkeypatch: pytest.MonkeyPatch, run_dir: Path) -> None:
    old = run_dir / "old"
    old.mkdir(mode=0o755)
    for name in programs.NEEDED:
        (old / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.13'\n")
        (old / name).chmod(0o755)
    monkeypatch.setenv(BIN_VARIABLE, str(old))
    with pytest.raises(ProgramError, match="is PostgreSQL 14; the lab needs 15 or newer"):
        locate(run_dir / "unused")


def test_the_user_s_own_settings_of_postgresql_reach_no_program(
    monkeypatch: pytest.MonkeyPatch, run_dir: Path
) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    assert "PGHOST" not in locate(run_dir / "unused").environment()
