"""One lab at a time: its addresses are fixed, so whoever runs one claims the machine."""

from __future__ import annotations

import socket
import sys

_NAME = "\0standby-lab"
"""Name of the socket that the one lab of this machine holds; the kernel frees it with its holder.

An abstract name (unix(7)) lives in the network namespace, exactly where the lab's ports do.
"""


def hold() -> socket.socket:
    """Return the socket that makes this process the machine's one lab.

    Raise OSError (EADDRINUSE) when another one is.
    """
    lock = socket.socket(socket.AF_UNIX)
    lock.bind(_NAME)
    lock.setblocking(False)
    lock.listen()
    return lock


def holder() -> int | None:
    """Return the process id of the supervisor that runs on this machine, or None."""
    with socket.socket(socket.AF_UNIX) as knock:
        try:
            knock.connect(_NAME)
        except ConnectionRefusedError:
            return None
        credentials = knock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[:4], sys.byteorder)
