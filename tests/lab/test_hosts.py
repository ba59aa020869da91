"""A host is made from its user data, as an instance is."""

import signal

import psutil
import pytest

from lab import hosts
from tests.recovery.governed import Governed
from tests.recovery.lives import Life

USER_DATA = """#!/bin/bash
set -euo pipefail
mkdir -p /etc/standby
cat > /etc/standby/host.env <<'END'
STANDBY_PRODUCT=rlg-data
STANDBY_SITE=dr
STANDBY_SERVICES=[{"name": "api", "port": 5000}]
EMPTY=
END
systemctl enable --now standby-guard
"""


def test_user_data_tells_a_host_what_it_is():
    assert hosts.host_environment(USER_DATA) == {
        "STANDBY_PRODUCT": "rlg-data",
        "STANDBY_SITE": "dr",
        "STANDBY_SERVICES": '[{"name": "api", "port": 5000}]',
        "EMPTY": "",
    }


def test_user_data_without_it_is_refused():
    with pytest.raises(hosts.NoHostEnvironmentError, match="host.env"):
        hosts.host_environment("#!/bin/bash\necho\n")


def test_the_labs_authority_wins_over_the_file_that_an_image_would_hold():
    told = USER_DATA.replace("EMPTY=", "PGSSLROOTCERT=/etc/ssl/rds/global-bundle.pem")
    known = hosts.complete_environment(told, {"PGSSLROOTCERT": "/lab/ca.pem"})
    assert (known["PGSSLROOTCERT"], known["STANDBY_PRODUCT"]) == ("/lab/ca.pem", "rlg-data")


def test_a_host_is_its_guard_and_ends_with_it(tmp_path):
    host = hosts.launch(
        run_dir=tmp_path,
        instance_id="i-1",
        address="127.0.0.1",
        region="us-west-2",
        user_data=USER_DATA,
        environment={},
    )
    assert host.instance_id == "i-1"
    assert host.alive
    host.kill()
    assert not host.alive
    host.kill()


def test_a_killed_host_leaves_no_process_not_even_a_zombie(tmp_path):
    life = Life(tmp_path)
    away = "setsid sh -c 'echo $$; exec sleep 60' & wait"
    governed = Governed.start(life.command(f"trap '' TERM; echo $$; {away}"))
    with governed.process as guard:
        governed.hear()
        started = [int(life.says()), int(life.says()), governed.ward(), guard.pid]
        hosts.Host(instance_id="i-1", guard=guard).kill()
        assert [pid for pid in started if psutil.pid_exists(pid)] == []
    life.end()
    life.close()


def test_a_host_whose_guard_is_frozen_is_killed_all_the_same(tmp_path):
    life = Life(tmp_path)
    governed = Governed.start(life.command("trap '' TERM; echo $$; exec sleep 60"))
    with governed.process as guard:
        governed.hear()
        life.says()
        guard.send_signal(signal.SIGSTOP)
        hosts.Host(instance_id="i-1", guard=guard).kill()
        assert guard.poll() is not None
    life.end()
    life.close()
