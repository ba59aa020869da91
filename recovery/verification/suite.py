"""The product's own API tests: any command, run against the site as customers reach it.

It finds STANDBY_URL (the product's public URL) and STANDBY_CA (a file of authorities, where
SSL_CERT_FILE names one) in its environment, beside STANDBY_RESOLVER, STANDBY_PRODUCT and
STANDBY_REGION. Exit code 0 is success; what it prints is kept. With pytest:

    api_tests: [python, -m, pytest, -q, /opt/rlg-data/api-tests]

    def test_content_is_there():
        context = ssl.create_default_context(cafile=os.environ.get("STANDBY_CA"))
        with urlopen(os.environ["STANDBY_URL"] + "/api/content", context=context) as answer:
            assert json.load(answer)["items"]
"""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from recovery.engine import state
from recovery.verification.findings import Finding, failed, ok, unverified
from recovery.web import HTTPS_PORT

if TYPE_CHECKING:
    from pathlib import Path

    from recovery.steps.case import Case

SECONDS = 600.0


def api_tests(case: Case, seconds: float = SECONDS) -> list[Finding]:
    """Run the product's tests, if it has any; a run that takes longer than `seconds` is ended."""
    command = case.product.api_tests
    if not command:
        return []
    output = state.folder() / "api-tests" / f"{case.execution}-{case.product.name}.log"
    try:
        output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        code = _run(command, _environment(case), output, seconds)
    except OSError as error:
        return [unverified("api-tests", f"{command[0]} cannot be run: {error.strerror}")]
    said = f"{' '.join(command)}: {_last_line(output)} (all of it in {output})"
    if code is None:
        return [failed("api-tests", f"not finished after {seconds:.0f} s: {said}")]
    if code:
        return [failed("api-tests", f"exit code {code}: {said}")]
    return [ok("api-tests", said)]


def _environment(case: Case) -> dict[str, str]:
    port = case.topology.https_port
    added = {
        "STANDBY_URL": f"https://{case.product.domain}"
        + (f":{port}" if port != HTTPS_PORT else ""),
        "STANDBY_CA": os.environ.get("SSL_CERT_FILE", ""),
        "STANDBY_RESOLVER": case.resolver or "",
        "STANDBY_PRODUCT": case.product.name,
        "STANDBY_REGION": case.site.region,
    }
    return {**os.environ, **{name: value for name, value in added.items() if value}}


def _run(
    command: tuple[str, ...], environment: dict[str, str], output: Path, seconds: float
) -> int | None:
    """Return the exit code, or None when its time ran out and all its processes were ended."""
    with output.open("wb") as kept:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=kept,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _last_line(output: Path) -> str:
    with output.open("rb") as kept:
        kept.seek(max(0, output.stat().st_size - 1000))
        lines = kept.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
