"""The journal keeps what it promises: order, chain, durability, an honest end."""

import errno
import json
import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recovery.engine import chain, journal
from recovery.engine.chain import Kind
from recovery.engine.errors import RefusedError
from recovery.engine.journal import Journal


def written(folder, records=3, **options):
    opened = Journal(folder, "failover-1", **options)
    for number in range(records):
        opened.write("rlg-data", "promote-database", "acting", {"number": number})
    opened.close()
    return opened


def resealed(line, **changes):
    """Edit a line as somebody would who knows how its seal is made."""
    (record,) = chain.examine(line + b"\n").records
    return chain.sealed(replace(record, **changes))


def faults(lines):
    """Return of each line that does not fit its place and what is wrong with it."""
    found = chain.examine(b"".join(line + b"\n" for line in lines))
    assert len(found.lines) == len(lines)
    return {line.number: {fault.kind for fault in line.faults} for line in found.misfits}


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    return written(tmp_path_factory.mktemp("state"), 6).path.read_bytes().splitlines()


PLACES = range(1, 8)
FOLLOWERS = range(1, 7)
KINDS_OF_NONSENSE = ["empty", "text", "array", "not-utf-8", "deep"]


def test_records_come_back_in_order_with_their_facts(tmp_path):
    records = journal.read(written(tmp_path).path.read_bytes())
    assert [record.event for record in records] == ["opened", "acting", "acting", "acting"]
    assert [record.facts.get("number") for record in records[1:]] == [0, 1, 2]


def test_an_edited_line_is_named(tmp_path):
    path = written(tmp_path).path
    path.write_bytes(path.read_bytes().replace(b'"number": 1', b'"number": 7'))
    with pytest.raises(ValueError, match="the journal was changed: line 3 was changed after it"):
        journal.read(path.read_bytes())


def test_an_edited_line_that_was_sealed_anew_is_named_by_the_one_after_it(tmp_path):
    lines = written(tmp_path).path.read_bytes().splitlines()
    lines[2] = resealed(lines[2], facts={"number": 7})
    with pytest.raises(ValueError, match="line 4 does not follow line 3 as that is now"):
        journal.read(b"\n".join(lines) + b"\n")


def test_a_removed_line_shows(tmp_path):
    lines = written(tmp_path).path.read_bytes().splitlines(keepends=True)
    with pytest.raises(ValueError, match="line 2 does not follow"):
        journal.read(b"".join(lines[:1] + lines[2:]))


def test_the_torn_last_line_of_a_kill_is_passed_over(tmp_path):
    content = written(tmp_path).path.read_bytes()
    assert len(journal.read(content[:-5])) == 3


def test_a_full_disk_before_anything_was_done_is_a_refusal(tmp_path, monkeypatch):
    def full(file, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RefusedError, match=r"cannot be written \(No space left on device\)"):
        Journal(tmp_path, "failover-1")


def test_a_record_that_did_not_fit_leaves_a_journal_that_reads_and_goes_on(tmp_path, monkeypatch):
    opened = Journal(tmp_path, "failover-1")
    real = os.write

    def part(file, content):
        real(file, content[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", part)
    with pytest.raises(OSError, match="No space"):
        opened.write("rlg-data", "promote-database", "acting", {})
    monkeypatch.setattr(os, "write", real)
    opened.write("rlg-data", "promote-database", "failed", {})
    opened.close()
    assert [r.event for r in journal.read(opened.path.read_bytes())] == ["opened", "failed"]


def test_the_mirror_ends_with_the_whole_journal(tmp_path):
    copies = []
    opened = written(tmp_path, mirror=lambda content: copies.append(content))
    assert copies[-1] == opened.path.read_bytes()


def test_a_mirror_that_fails_is_said_and_stops_nothing(tmp_path):
    opened = written(tmp_path, mirror=lambda content: "bucket gone")
    assert opened.mirror_fault == "bucket gone"
    assert len(journal.read(opened.path.read_bytes())) == 4


def test_only_its_owner_can_read_it(tmp_path):
    assert written(tmp_path).path.stat().st_mode & 0o077 == 0


def test_every_line_is_json_that_names_the_execution(tmp_path):
    for line in written(tmp_path).path.read_text().splitlines():
        assert json.loads(line)["execution"] == "failover-1"


def test_the_opening_record_says_what_it_is_told(tmp_path):
    opened = written(tmp_path, opening={"verb": "failover", "accepted_data_loss_seconds": 412.0})
    first, *_ = journal.read(opened.path.read_bytes())
    assert first.facts == {"verb": "failover", "accepted_data_loss_seconds": 412.0}


def test_what_was_written_fits(lines):
    assert faults(lines) == {}


@settings(max_examples=300)
@given(data=st.data())
def test_a_flipped_byte_anywhere_shows_in_its_line_or_the_next(lines, data):
    content = b"".join(line + b"\n" for line in lines)
    place = data.draw(st.integers(0, len(content) - 2))
    bit = data.draw(st.integers(0, 7))
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    number = content.count(b"\n", 0, place) + 1
    found = {line.number for line in chain.examine(bytes(changed)).misfits}
    assert found & {number, number + 1}
    assert found <= {number, number + 1, number + 2}


@pytest.mark.parametrize("place", PLACES)
def test_an_edit_shows_in_its_line(lines, place):
    changed = list(lines)
    changed[place - 1] = changed[place - 1].replace(b'"execution": "f', b'"execution": "F')
    followers = {place + 1} & set(PLACES)
    assert faults(changed) == {place: {Kind.SEAL}} | {each: {Kind.CHAIN} for each in followers}


@pytest.mark.parametrize("place", FOLLOWERS)
def test_an_edit_with_a_seal_made_anew_shows_in_the_next_line(lines, place):
    changed = list(lines)
    changed[place - 1] = resealed(changed[place - 1], facts={"number": 99})
    assert faults(changed) == {place + 1: {Kind.CHAIN}}


@pytest.mark.parametrize("place", range(1, 6))
def test_an_edit_with_a_seal_and_the_next_lines_hash_made_anew_shows_after_that(lines, place):
    changed = list(lines)
    changed[place - 1] = resealed(changed[place - 1], facts={"number": 99})
    changed[place] = resealed(changed[place], previous=chain.digest(changed[place - 1]))
    assert faults(changed) == {place + 2: {Kind.CHAIN}}


@pytest.mark.parametrize("place", FOLLOWERS)
def test_a_removed_line_shows_where_it_was(lines, place):
    assert faults(lines[: place - 1] + lines[place:]) == {place: {Kind.CHAIN, Kind.NUMBER}}


@pytest.mark.parametrize("place", FOLLOWERS)
def test_swapped_lines_show_and_only_they_and_the_next(lines, place):
    changed = list(lines)
    changed[place - 1], changed[place] = changed[place], changed[place - 1]
    found = faults(changed)
    assert found[place] == found[place + 1] == {Kind.CHAIN, Kind.NUMBER}
    assert set(found) == {place, place + 1, place + 2} & set(PLACES)


@pytest.mark.parametrize("place", PLACES)
def test_a_line_that_is_there_twice_shows(lines, place):
    changed = lines[:place] + lines[place - 1 :]
    assert faults(changed) == {place + 1: {Kind.CHAIN, Kind.NUMBER}}


@pytest.mark.parametrize("place", FOLLOWERS)
def test_an_inserted_line_shows_in_the_one_after_it(lines, place):
    """Even one that was made as the next line would have been."""
    own = resealed(lines[place - 1], number=place + 1, previous=chain.digest(lines[place - 1]))
    found = faults([*lines[:place], own, *lines[place:]])
    assert found == {place + 2: {Kind.CHAIN, Kind.NUMBER}}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "text", [b"", b"no json", b"[1]", b"\xff", b"[" * 5000], ids=KINDS_OF_NONSENSE
)
def test_a_line_that_is_no_json_object_is_named_and_the_rest_is_read(lines, place, text):
    changed = list(lines)
    changed[place - 1] = text
    found = chain.examine(b"".join(line + b"\n" for line in changed))
    assert found.lines[place - 1].faults[0].kind is Kind.NOT_JSON
    assert len(found.records) == len(lines) - 1


@pytest.mark.parametrize(
    "name", ["n", "at", "execution", "product", "step", "event", "facts", "previous"]
)
def test_a_line_without_a_field_is_named(lines, name):
    fields = json.loads(lines[2])
    fields.pop(name)
    assert faults([*lines[:2], json.dumps(fields).encode()])[3] == {Kind.FIELD}


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": True},
        {"at": "yesterday"},
        {"at": "2026-11-23T03:04:05"},
        {"at": "0001-01-01T00:00:00+23:59"},
        {"facts": {"nested": {}}},
        {"facts": []},
        {"step": None},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_kind_is_named(lines, wrong):
    line = json.dumps(json.loads(lines[2]) | wrong).encode()
    assert faults([*lines[:2], line])[3] == {Kind.FIELD}


def test_a_line_of_another_execution_is_named(lines):
    other = resealed(lines[2], execution="failover-2")
    assert faults([*lines[:2], other])[3] == {Kind.EXECUTION}


def test_a_number_that_jumps_is_one_lines_fault(lines):
    changed = list(lines)
    changed[2] = resealed(changed[2], number=10**9)
    assert faults(changed) == {3: {Kind.NUMBER}, 4: {Kind.CHAIN, Kind.NUMBER}}


def test_a_removed_end_is_not_seen_in_the_chain(lines):
    """Which is why the report says that no closing record is there, and compares copies."""
    assert faults(lines[:-2]) == {}


@given(st.binary(max_size=400))
def test_examining_never_fails(content):
    chain.examine(content)
