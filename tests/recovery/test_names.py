import time

import pytest

from recovery import names


def test_the_given_resolver_is_asked_and_all_addresses_come(resolver):
    resolver.names["data.rlg.example"] = ["127.100.2.1", "127.100.2.2"]
    found = names.resolve("data.rlg.example", resolver.address)
    assert sorted(found) == ["127.100.2.1", "127.100.2.2"]


def test_an_answer_is_not_kept_beyond_the_question(resolver):
    resolver.names["data.rlg.example"] = ["127.100.1.1"]
    names.resolve("data.rlg.example", resolver.address)
    resolver.names["data.rlg.example"] = ["127.100.2.1"]
    assert names.resolve("data.rlg.example", resolver.address) == ("127.100.2.1",)


def test_a_name_that_does_not_exist_is_told_with_the_resolver(resolver):
    with pytest.raises(names.UnresolvedError, match=rf"^nowhere\.test .*{resolver.address}"):
        names.resolve("nowhere.test", resolver.address)


def test_a_silent_resolver_is_given_up_after_two_seconds(resolver):
    resolver.names["slow.test"] = None
    began = time.monotonic()
    with pytest.raises(names.UnresolvedError):
        names.resolve("slow.test", resolver.address)
    assert time.monotonic() - began < 2.6


@pytest.mark.parametrize("wrong", ["ns.example", "127.0.0.1:dns", "::1", ":53"])
def test_a_resolver_that_is_no_address_is_told(wrong):
    with pytest.raises(names.UnresolvedError, match=r"write 127\.0\.0\.1:53"):
        names.resolve("data.rlg.example", wrong)


def test_an_address_needs_no_resolver():
    assert names.resolve("127.1.2.3", "127.0.0.1:1") == ("127.1.2.3",)


def test_without_a_resolver_the_machine_is_asked():
    assert names.resolve("localhost") == ("127.0.0.1",)
    with pytest.raises(names.UnresolvedError):
        names.resolve("nothing.invalid")
    with pytest.raises(names.UnresolvedError):
        names.resolve("a" * 64 + ".example")
