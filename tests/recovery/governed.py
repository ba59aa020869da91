"""A governor in a process of its own, told by its standard input what the tables say."""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass

from recovery.assignment import Assignment
from recovery.governor import Governor
from recovery.idle import Idle
from recovery.tenure import Tenure
from recovery.topology import Service
from recovery.ward import boot_clock
from tests.recovery.lives import PATIENCE_SECONDS

TTL = 2.4
SITE = "dr"


@dataclass
class Governed:
    """The test's end of such a process."""

    process: subprocess.Popen

    @classmethod
    def start(cls, command, ports=()):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.recovery.governed", json.dumps(ports), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return cls(process)

    def hear(self, site=SITE, epoch=3, tables=("a", "b", "c")):
        """Let it hear of an assignment; return until when two tables hold it."""
        assert self.process.stdin is not None
        asked = boot_clock()
        for table in tables:
            line = json.dumps({"table": table, "site": site, "epoch": epoch, "asked": asked})
            self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return asked + TTL

    def says(self, topic, state):
        """Wait until it says so; return everything that it said meanwhile."""
        assert self.process.stdout is not None
        seen = []
        while (topic, state) not in seen:
            line = self.process.stdout.readline()
            assert line, f"it ended with {self.process.wait()}, having said {seen}"
            seen.append(tuple(json.loads(line)[:2]))
        return seen

    def end(self):
        return self.process.wait(PATIENCE_SECONDS)

    def ward(self):
        """Return the process id of its ward."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)],
            capture_output=True,
            check=True,
            text=True,
        )
        (pid,) = found.stdout.split()
        return int(pid)


def main():
    ports, *command = sys.argv[1:]
    tenure = Tenure(SITE, TTL)
    services = tuple(
        Service(name=f"s{port}", port=port, path="/*", health_path="/well")
        for port in json.loads(ports)
    )
    governor = Governor(
        command=tuple(command),
        site=SITE,
        tenure=tenure,
        ttl=TTL,
        idle=Idle(
            address="127.0.0.1",
            site=SITE,
            services=services,
            assigned=lambda: tenure.newest.site if tenure.newest else None,
        ),
        decided=lambda: True,
        say=lambda *said: print(json.dumps(said), flush=True),
    )

    def listen():
        for line in sys.stdin:
            heard = json.loads(line)
            assigned = Assignment(
                site=heard["site"], epoch=heard["epoch"], claim=False, settled=True, execution="x"
            )
            tenure.hear(heard["table"], assigned, asked=heard["asked"])
            governor.wake()

    threading.Thread(target=listen, daemon=True).start()
    sys.exit(governor.govern())


if __name__ == "__main__":
    main()
