"""What a process needs to know of the lab, and nothing more: AWS, a resolver, a CA, credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from lab import control

if TYPE_CHECKING:
    from pathlib import Path

RESOLVER = "127.0.53.2:5300"
NO_PROXY = control.ENDPOINT.removeprefix("http://").partition(":")[0]
DEFAULT_REGION = "us-west-2"
"""For the AWS CLI and plain boto3 code that name no region."""

Caller = Literal["OPERATOR", "HOST", "PROVISION", "SELF"]
"""Who calls AWS: it shows in the access key, and so in the record of calls."""


def environment(run_dir: Path, caller: Caller) -> dict[str, str]:
    """Return the variables with which plain AWS code works against the lab in `run_dir`."""
    authority = str(run_dir / "ca" / "ca.pem")
    return {
        "AWS_ENDPOINT_URL": control.ENDPOINT,
        "AWS_ACCESS_KEY_ID": f"LAB{caller}".ljust(20, "0"),
        "AWS_SECRET_ACCESS_KEY": "of-no-worth-outside-the-lab",
        "AWS_DEFAULT_REGION": DEFAULT_REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        # A proxy of the user's has no way to this machine's loopback.
        "NO_PROXY": NO_PROXY,
        "no_proxy": NO_PROXY,
        "STANDBY_RESOLVER": RESOLVER,
        "SSL_CERT_FILE": authority,
        "PGSSLROOTCERT": authority,
    }
