"""A host is made from its user data, as an instance is."""

import pytest

from lab import hosts

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


def test_a_killed_host_leaves_no_process(tmp_path):
    host = hosts.launch(
        run_dir=tmp_path,
        instance_id="i-1",
        address="127.0.0.1",
        region="us-west-2",
        user_data=USER_DATA,
        environment={},
    )
    assert host.instance_id == "i-1"
    host.kill()
    assert not host.alive
    assert host.guard.poll() is not None
