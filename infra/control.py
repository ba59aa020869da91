"""Where recovery runs: a control host in each site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from infra import authority
from infra.hosts import image
from infra.rules import AMAZON_LINUX

if TYPE_CHECKING:
    from collections.abc import Mapping

RELEASES = "releases"
"""Prefix, in the bucket of each site, of the wheels that a control host installs."""

_PYTHON = "/opt/standby/venv/bin/python"
_VARIABLES = "/etc/standby/control.env"
_RECORD = "standby-record"

_LOGIN = f"""\
set -a
. {_VARIABLES}
set +a
PATH=/opt/standby/venv/bin:$PATH
"""

_TIMER = """\
[Unit]
Description=Record every hour what there is to verify

[Timer]
OnCalendar=hourly
RandomizedDelaySec=10min
Persistent=true

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlHostArgs:
    """Where a control host stands."""

    site: str
    region: str
    bucket: pulumi.Input[str]
    subnet_id: pulumi.Input[str]
    group_id: pulumi.Input[str]
    profile: pulumi.Input[str]


class ControlHost(pulumi.ComponentResource):
    """A host in a private subnet of the site, reached by SSM alone, with recovery installed.

    It installs from the bucket of its own region, so that it needs nothing from the other one.
    Every hour it records what there is to verify after a failover, while its site is active.
    """

    instance_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: ControlHostArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("standby:infra:ControlHost", name, None, opts)
        instance = aws.ec2.Instance(
            name,
            ami=image(AMAZON_LINUX, self),
            instance_type="t3.small",
            subnet_id=args.subnet_id,
            vpc_security_group_ids=[args.group_id],
            iam_instance_profile=args.profile,
            user_data=pulumi.Output.from_input(args.bucket).apply(
                lambda bucket: user_data(
                    {"STANDBY_SITE": args.site, "AWS_REGION": args.region}, bucket
                )
            ),
            user_data_replace_on_change=False,
            metadata_options={"http_tokens": "required", "http_endpoint": "enabled"},
            root_block_device={"encrypted": True, "volume_type": "gp3"},
            tags={"Name": name},
            # A newer image or script is for the next control host, not a reason to replace this
            # one: it may be in use.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["ami", "userData"]),
        )
        self.instance_id = instance.id
        self.register_outputs({"instance_id": self.instance_id})


def user_data(variables: Mapping[str, str], bucket: str) -> str:
    """Return the script of a control host's first start."""
    known = {**variables, **authority.VARIABLES}
    lines = "".join(f"{name}={value}\n" for name, value in known.items())
    units = "/etc/systemd/system"
    return (
        "#!/bin/bash\n"
        "set -euo pipefail\n"
        "install -d -m 0755 /etc/standby /opt/standby\n"
        + _file(_VARIABLES, lines)
        + _file("/etc/profile.d/standby.sh", _LOGIN)
        + authority.FETCH
        + "dnf install -y python3.11\n"
        f"aws s3 cp --recursive s3://{bucket}/{RELEASES}/ /opt/standby/{RELEASES}/\n"
        "python3.11 -m venv /opt/standby/venv\n"
        f"{_PYTHON} -m pip install --no-index --find-links /opt/standby/{RELEASES} standby\n"
        + _file(f"{units}/{_RECORD}.service", _service(variables["AWS_REGION"]))
        + _file(f"{units}/{_RECORD}.timer", _TIMER)
        + f"systemctl enable --now {_RECORD}.timer\n"
    )


def _file(path: str, text: str) -> str:
    return f"cat > {path} <<'END'\n{text}END\n"


def _service(region: str) -> str:
    """Return the unit that records; the site that is not active refuses, which is no failure."""
    return f"""\
[Unit]
Description=Record what there is to verify, while this site is active
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
DynamicUser=yes
StateDirectory=standby
EnvironmentFile={_VARIABLES}
Environment=STANDBY_STATE=/var/lib/standby
ExecStart={_PYTHON} -m recovery.verify --region {region} --record
# 3: refused, nothing was changed.
SuccessExitStatus=3
TimeoutStartSec=50min
"""
