"""The journal keeps what it promises: order, chain, durability, an honest end."""

import errno
import json
import os

import pytest

from recovery.engine import journal
from recovery.engine.errors import RefusedError
from recovery.engine.journal import Journal


def written(folder, records=3, **options):
    opened = Journal(folder, "failover-1", **options)
    for number in range(records):
        opened.write("rlg-data", "promote-database", "acting", {"number": number})
    opened.close()
    return opened


def test_records_come_back_in_order_with_their_facts(tmp_path):
    records = journal.read(written(tmp_path).path.read_bytes())
    assert [record.event for record in records] == ["opened", "acting", "acting", "acting"]
    assert [record.facts.get("number") for record in records[1:]] == [0, 1, 2]


def test_an_edited_line_is_named_by_the_one_after_it(tmp_path):
    path = written(tmp_path).path
    path.write_bytes(path.read_bytes().replace(b'"number": 1', b'"number": 7'))
    with pytest.raises(ValueError, match="line 4 does not follow line 3"):
        journal.read(path.read_bytes())


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
