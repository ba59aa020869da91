from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from lab.net import authority
from lab.net.relay import reset

HOST = "127.77.3.1"


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_connection_can_be_reset_however_often_it_was_closed_before(
    tmp_path: Path, closed: int
) -> None:
    signed = authority.create(tmp_path).issue(["data.rlg.example"])

    async def story() -> None:
        resetting: list[asyncio.BaseTransport] = []
        arrived = asyncio.Event()

        def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _time in range(closed):
                writer.close()
            reset(writer.transport)
            resetting.append(writer.transport)
            arrived.set()

        server = await asyncio.start_server(serve, HOST, 0, ssl=signed.server_context())
        trust = ssl.create_default_context(cafile=str(tmp_path / authority.CERTIFICATE))
        reader, writer = await asyncio.open_connection(
            *server.sockets[0].getsockname(), ssl=trust, server_hostname="data.rlg.example"
        )
        await asyncio.wait_for(arrived.wait(), 10)
        if closed:
            assert await asyncio.wait_for(reader.read(), 10) == b""
        else:
            with pytest.raises(ConnectionResetError):
                await asyncio.wait_for(reader.read(), 10)
        writer.close()
        server.close()

    asyncio.run(story())
