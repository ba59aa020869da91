"""Run the lab's network: `python -m lab.net --run-dir RUN`.

It follows the world until it is ended. `GET http://127.0.53.3:4567/` answers, as JSON, the version
of the world that the sockets agree with, what could not be opened, and the targets' health.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

import msgspec

from lab.net import authority, messages, world
from lab.net.health import Health
from lab.net.network import Network

CONTROL = ("127.0.53.3", 4567)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m lab.net", description=__doc__)
    parser.add_argument("--run-dir", type=Path, required=True, help="the lab's run folder")
    parser.add_argument("--world", default=world.DEFAULT_URL, help="URL of the AWS process")
    parser.add_argument("--control", default=":".join(map(str, CONTROL)), help="ADDRESS:PORT")
    options = parser.parse_args()
    asyncio.run(_serve(options.run_dir, options.world, options.control))


async def _serve(run_dir: Path, url: str, control: str) -> None:
    health = Health(url)
    network = Network(authority=authority.create(run_dir / "ca"), health=health)
    address, _, port = control.rpartition(":")
    serving: set[asyncio.Task[None]] = set()

    def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_control(reader, writer, network, health))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(arrived, address, int(port))
    tasks = [asyncio.create_task(_follow(network, url)), asyncio.create_task(health.report())]
    loop = asyncio.get_running_loop()

    def end() -> None:
        # Both: Python 3.11's wait_for forgets a cancellation that comes with its answer (CPython
        # gh-86296).
        for task in tasks:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled():
                task.result()
    finally:
        network.close()
        server.close()


async def _follow(network: Network, url: str) -> None:
    complaints: dict[str, str] = {}
    async for version in world.follow(url):
        await network.follow(version)
        if network.failed != complaints:
            complaints = network.failed
            print(f"could not open: {complaints}", flush=True)


async def _control(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, network: Network, health: Health
) -> None:
    try:
        await asyncio.wait_for(messages.read_request(reader, writer), 5)
        body = msgspec.json.encode(
            {"version": network.version, "failed": network.failed, "health": health.states()}
        )
        headers = [("Content-Type", "application/json"), ("Connection", "close")]
        writer.write(messages.encode_response(200, "OK", headers, body, length=None))
        await writer.drain()
    except (OSError, messages.MalformedError, TimeoutError):
        pass
    finally:
        writer.close()


if __name__ == "__main__":
    main()
