"""The world that recovery talks to, small and real: a resolver, a website, a database's door."""

import asyncio
import http.server
import json
import socketserver
import threading

import dns.message
import dns.rcode
import dns.rrset

from lab.net.databases import Endpoint


class Resolver:
    """A DNS server that answers from a dict of name → addresses; None: it says nothing."""

    def __init__(self):
        self.names = {}
        outside = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                datagram, channel = self.request
                if (answer := outside._answer(datagram)) is not None:
                    channel.sendto(answer, self.client_address)

        self._server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, datagram):
        query = dns.message.from_wire(datagram)
        name = query.question[0].name
        addresses = self.names.get(name.to_text(omit_final_dot=True), ())
        if addresses is None:
            return None
        answer = dns.message.make_response(query)
        if addresses:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", *addresses))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire()


class Website:
    """An HTTPS server that answers by `handle(method, path, body, headers)` and keeps requests."""

    def __init__(self, certificate, handle, address="127.0.0.1"):
        self.requests = []
        outside = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                outside.requests.append((self.command, self.path, body, dict(self.headers)))
                status, answer = handle(self.command, self.path, body, self.headers)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_):
                pass

        self._server = _Server((address, 0), Handler)
        if certificate is not None:
            self._server.socket = certificate.server_context().wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """Say nothing of a client that refuses the certificate: it is what the test wants."""


class Door:
    """TLS in front of a PostgreSQL server's socket, as RDS has it; it can be shut and opened."""

    def __init__(self, certificate, socket_folder):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._make = lambda port: Endpoint(
            address="127.0.0.1",
            port=port,
            socket_folder=socket_folder,
            context=certificate.server_context(),
        )
        self.port = 0
        self.open()

    def open(self):
        self._endpoint = self._make(self.port)
        asyncio.run_coroutine_threadsafe(self._endpoint.open(), self._loop).result(5)
        listening = self._endpoint._server
        assert listening is not None
        self.port = listening.sockets[0].getsockname()[1]

    def shut(self):
        async def shut():
            self._endpoint.close()
            await asyncio.sleep(0.05)  # connections end in the turns of the loop that follow

        asyncio.run_coroutine_threadsafe(shut(), self._loop).result(5)

    def close(self):
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
