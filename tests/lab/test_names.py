"""A stub resolver keeps an answer for its TTL and no longer."""

import socket
import threading

import dns.message
import dns.rrset
import pytest

from lab.names import Resolver, UnresolvedError


class Server:
    """Answers from a table of name -> records in text form, and counts the questions."""

    def __init__(self):
        self.records = {}
        self.asked = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self.socket.getsockname())
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                data, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            self.asked += 1
            query = dns.message.from_wire(data)
            answer = dns.message.make_response(query)
            name = query.question[0].name.to_text(omit_final_dot=True)
            answer.answer = [dns.rrset.from_text(*r) for r in self.records.get(name, ())]
            self.socket.sendto(answer.to_wire(), peer)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.socket.close()


def test_an_answer_is_kept_for_its_ttl(server):
    server.records["data.rlg.example"] = [("data.rlg.example.", 60, "IN", "A", "127.0.0.9")]
    resolver = Resolver(server.address)
    assert {resolver.address("data.rlg.example") for _ in range(3)} == {"127.0.0.9"}
    assert server.asked == 1


def test_an_answer_is_asked_for_again_when_its_ttl_is_over(server):
    server.records["data.rlg.example"] = [("data.rlg.example.", 0, "IN", "A", "127.0.0.9")]
    resolver = Resolver(server.address)
    resolver.address("data.rlg.example")
    server.records["data.rlg.example"] = [("data.rlg.example.", 0, "IN", "A", "127.0.0.10")]
    assert resolver.address("data.rlg.example") == "127.0.0.10"


def test_a_chain_of_names_is_followed_and_its_shortest_ttl_counts(server):
    server.records["data.rlg.example"] = [
        ("data.rlg.example.", 0, "IN", "CNAME", "balancer.rlg.example."),
        ("balancer.rlg.example.", 300, "IN", "A", "127.0.0.9"),
    ]
    resolver = Resolver(server.address)
    assert resolver.address("data.rlg.example") == "127.0.0.9"
    resolver.address("data.rlg.example")
    assert server.asked == 2


def test_a_name_without_an_address_is_an_error_that_names_it(server):
    with pytest.raises(UnresolvedError, match="nowhere.example has no address"):
        Resolver(server.address).address("nowhere.example")


def test_a_silent_resolver_is_an_error_that_names_it():
    with pytest.raises(UnresolvedError, match="127.0.0.1:9 does not answer"):
        Resolver("127.0.0.1:9").address("data.rlg.example")
