import socket

import pytest

from recovery import names, web


def echo(method, path, body, headers):
    return 200, {"method": method, "path": path, "body": body, "host": headers["Host"]}


def test_a_request_goes_through_the_resolver_under_the_public_name(website, resolver):
    site = website(["data.rlg.example"], echo)
    resolver.names["data.rlg.example"] = ["127.0.0.1"]

    answer = web.request(
        "POST",
        "data.rlg.example",
        site.port,
        "/api/x?y=1",
        body={"a": 1},
        token="t",
        resolver=resolver.address,
    )

    assert answer.status == 200
    assert answer.json() == {
        "method": "POST",
        "path": "/api/x?y=1",
        "body": {"a": 1},
        "host": f"data.rlg.example:{site.port}",
    }
    assert site.requests[0][3]["Authorization"] == "Bearer t"


def test_a_certificate_for_another_name_is_refused(website, resolver):
    site = website(["other.example"], echo)
    resolver.names["data.rlg.example"] = ["127.0.0.1"]
    with pytest.raises(web.UnansweredError, match=r"https://data\.rlg\..*: .*certificate"):
        web.get("data.rlg.example", site.port, "/", resolver=resolver.address)
    assert site.requests == []


def test_an_unknown_authority_is_refused(website, resolver, monkeypatch):
    site = website(["data.rlg.example"], echo)
    resolver.names["data.rlg.example"] = ["127.0.0.1"]
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(web.UnansweredError, match="certificate"):
        web.get("data.rlg.example", site.port, "/", resolver=resolver.address)


def test_the_next_address_is_tried_where_one_refuses(website, resolver):
    site = website(["data.rlg.example"], echo)
    resolver.names["data.rlg.example"] = ["127.9.9.9", "127.0.0.1"]
    answer = web.get("data.rlg.example", site.port, "/", resolver=resolver.address)
    assert answer.status == 200


def test_no_name_and_no_listener_are_told_apart(resolver, trusted):
    with pytest.raises(names.UnresolvedError):
        web.get("nowhere.test", 443, "/", resolver=resolver.address)
    resolver.names["data.rlg.example"] = ["127.0.0.1"]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(web.UnansweredError, match="refused"):
            web.get("data.rlg.example", unused.getsockname()[1], "/", resolver=resolver.address)


def test_a_peer_that_says_nothing_is_given_up(resolver, trusted):
    resolver.names["data.rlg.example"] = ["127.0.0.1"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(web.UnansweredError, match="timed out"):
            web.get("data.rlg.example", port, "/", resolver=resolver.address, seconds=0.2)


def test_what_is_no_json_is_none():
    assert web.Answer(status=200, body=b"<html>").json() is None
