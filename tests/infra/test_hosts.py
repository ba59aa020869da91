"""The scripts of first starts: run as far as that goes without a host."""

import base64
import configparser
import os
import re
import subprocess
from pathlib import Path

import pytest

from infra import authority
from recovery.engine.errors import REFUSED
from recovery.governor import LONGEST_GRACE_SECONDS
from tests.infra.program import ROOT, Declaration

REGIONS = {"primary": "us-east-1", "dr": "us-west-2"}
RECORD = "/etc/systemd/system/standby-record"
BUNDLE = "/etc/ssl/rds/global-bundle.pem"
UNIT = ROOT / "infra" / "standby-guard.service"
FILE = re.compile(r"^cat > (\S+) <<'END'\n(.*?)^END\n", re.MULTILINE | re.DOTALL)


def host_scripts(site: Declaration) -> list[str]:
    templates = site.of("ec2:LaunchTemplate")
    return [base64.b64decode(each.inputs["userData"]).decode() for each in templates]


def control_scripts(link: Declaration) -> dict[str, str]:
    """Return region → script of the control host there."""
    return {str(each.region): each.inputs["userData"] for each in link.of("ec2:Instance")}


def written(script: str) -> dict[str, str]:
    """Return path → text of the files that a script writes."""
    return dict(FILE.findall(script))


def test_scripts_are_well_formed(dr: Declaration, link: Declaration) -> None:
    for script in (*host_scripts(dr), *control_scripts(link).values()):
        assert script.startswith("#!/bin/bash\nset -euo pipefail\n")
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_hosts_and_control_hosts_know_the_authority_of_databases(
    site: Declaration, link: Declaration
) -> None:
    line = f"PGSSLROOTCERT={BUNDLE}\n"
    for script in host_scripts(site):
        assert line in written(script)["/etc/standby/host.env"]
        assert script.index(authority.FETCH) < script.index("systemctl enable")
    for script in control_scripts(link).values():
        assert line in written(script)["/etc/standby/control.env"]
        assert script.index(authority.FETCH) < script.index("systemctl enable")


def test_a_host_starts_its_guard_and_nothing_beside_it(site: Declaration) -> None:
    for script in host_scripts(site):
        enabled = [line for line in script.splitlines() if line.startswith("systemctl")]
        assert enabled == ["systemctl enable --now standby-guard.service"]
        assert "STANDBY_COMMAND=/opt/standby/services\n" in written(script)["/etc/standby/host.env"]


def test_the_unit_of_the_guard_is_restarted_for_ever_and_leaves_nothing_behind() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=True, delimiters="=")
    unit.optionxform = str  # type: ignore[assignment]
    unit.read(UNIT)
    service = unit["Service"]
    assert service["EnvironmentFile"] == "/etc/standby/host.env"
    assert service["ExecStart"].endswith("/python -m recovery.guard")
    assert (service["Restart"], service["KillMode"]) == ("always", "control-group")
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert float(service["TimeoutStopSec"]) > LONGEST_GRACE_SECONDS


@pytest.mark.parametrize(
    ("there", "fetched", "goes_on", "held"),
    [
        ("", "echo new > $OUT", True, "new\n"),
        ("of the image\n", "false", True, "of the image\n"),
        ("", "echo half > $OUT; false", False, ""),
    ],
    ids=["fetched", "in the image", "cannot be fetched"],
)
def test_a_host_starts_with_a_whole_bundle_or_not_at_all(
    tmp_path: Path, *, there: str, fetched: str, goes_on: bool, held: str
) -> None:
    folder = tmp_path / "rds"
    bundle = folder / "global-bundle.pem"
    if there:
        folder.mkdir()
        bundle.write_text(there)
    curl = tmp_path / "bin" / "curl"
    curl.parent.mkdir()
    curl.write_text(f'#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\nOUT=$2\n{fetched}\n')
    curl.chmod(0o755)
    script = f"set -euo pipefail\n{authority.FETCH}echo goes on\n".replace(
        "/etc/ssl/rds", str(folder)
    )
    done = subprocess.run(
        ["bash"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": f"{curl.parent}:{os.environ['PATH']}"},
    )
    assert (done.stdout == "goes on\n") is goes_on
    assert (done.returncode == 0) is goes_on
    assert (bundle.read_text() if bundle.exists() else "") == held


def test_a_login_shell_on_a_control_host_knows_what_its_services_know(
    link: Declaration, tmp_path: Path
) -> None:
    for region, script in control_scripts(link).items():
        files = written(script)
        variables = tmp_path / f"{region}.env"
        variables.write_text(files["/etc/standby/control.env"])
        login = files["/etc/profile.d/standby.sh"].replace(
            "/etc/standby/control.env", str(variables)
        )
        shown = subprocess.run(
            ["sh", "-c", f"{login}\nenv"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert f"PGSSLROOTCERT={BUNDLE}" in shown
        assert f"AWS_REGION={region}" in shown
        assert any(line.startswith("PATH=/opt/standby/venv/bin:") for line in shown)


def test_each_control_host_records_its_own_site_every_hour(link: Declaration) -> None:
    scripts = control_scripts(link)
    assert scripts.keys() == set(REGIONS.values())
    for region, script in scripts.items():
        files = written(script)
        service, timer = files[f"{RECORD}.service"].splitlines(), files[f"{RECORD}.timer"]
        command = f"-m recovery.verify --region {region} --record"
        assert f"ExecStart=/opt/standby/venv/bin/python {command}" in service
        assert "EnvironmentFile=/etc/standby/control.env" in service
        assert "OnCalendar=hourly\n" in timer
        assert script.endswith("systemctl enable --now standby-record.timer\n")


def test_a_site_that_is_not_active_is_no_failed_unit(link: Declaration) -> None:
    for script in control_scripts(link).values():
        assert f"\nSuccessExitStatus={REFUSED}\n" in written(script)[f"{RECORD}.service"]
