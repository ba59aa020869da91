from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lab.data.statements import Command, Data, Splitter, Statement, copies_in


def split(text: str, *, escapes: bool = False) -> list[tuple[int, str]]:
    splitter = Splitter(io.BytesIO(text.encode()))
    splitter.escapes = escapes
    return [(item.line, item.text.decode()) for item in splitter]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT ';', 'it''s;', \"a;\"\"b\"",
        "SELECT E'\\';', e'\\\\'",
        "SELECT $$;$$, $a$ $$; $b$ $a$, x$y$z",
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END",
        "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (1); END",
        "SELECT a[1:2], b - c / d, U&'d\\0061t;'",
        "INSERT INTO t VALUES ('C:\\;')",
    ],
)
def test_a_semicolon_inside_something_ends_nothing(statement: str) -> None:
    assert split(f"{statement};\nSELECT 2;") == [(1, statement), (2, "SELECT 2")]


def test_strings_may_hold_escapes_where_the_server_says_so() -> None:
    assert split("SELECT 'a\\';'; SELECT 2;", escapes=True) == [
        (1, "SELECT 'a\\';'"),
        (1, "SELECT 2"),
    ]


def test_strings_and_quotes_go_over_lines() -> None:
    text = "SELECT 'a\n;\n', E'\\\n'';', $x$\n;\n$x$\n;SELECT 2"
    assert split(text) == [(1, text.partition("\n;SELECT")[0]), (7, "SELECT 2")]


def test_comments_are_left_out_and_lines_stay_right() -> None:
    text = "-- one;\n/* two; /* three */ ; */\n\nSELECT 1 -- four;\n /* ;\n */ + 2;\nSELECT 3;"
    found = split(text)
    assert [line for line, _ in found] == [4, 7]
    assert [statement.split() for _, statement in found] == [
        ["SELECT", "1", "+", "2"],
        ["SELECT", "3"],
    ]


def test_pg_dump_s_comments_name_the_entry() -> None:
    text = (
        "--\n-- Name: film; Type: TABLE; Schema: public; Owner: postgres\n--\n\nSELECT 1;\n"
        "SELECT 2;\n"
        "-- Data for Name: film; Type: TABLE DATA; Schema: public; Owner: postgres\nSELECT 3;\n"
        "-- Name: postgis; Type: EXTENSION; Schema: -; Owner: -\nSELECT 4;"
    )
    items = Splitter(io.BytesIO(text.encode()))
    entries = [item.entry for item in items if isinstance(item, Statement)]
    assert entries == [
        "TABLE public.film",
        "TABLE public.film",
        "TABLE DATA public.film",
        "EXTENSION postgis",
    ]


def test_a_backslash_begins_a_command_only_outside_quotes() -> None:
    found = list(Splitter(io.BytesIO(b"\\connect x\nSELECT '\n\\! rm'; SELECT 1 \\gexec\n")))
    assert found[0] == Command(text=b"\\connect x", line=1, within=False)
    assert found[1].text == b"SELECT '\n\\! rm'"
    assert found[2] == Command(text=b"\\gexec", line=3, within=True)


def test_the_data_of_a_copy_are_handed_out_whatever_they_hold() -> None:
    splitter = Splitter(io.BytesIO(b"COPY t FROM stdin;\na;b'\t\\N\n\\\\.\n\\.\nSELECT 1;\n"))
    items = iter(splitter)
    copy = next(items)
    assert copies_in(copy.text)
    assert Data(splitter.data()).read() == b"a;b'\t\\N\n\\\\.\n"
    after = next(items)
    assert (after.line, after.text) == (5, b"SELECT 1")


def test_data_that_do_not_end_are_noticed() -> None:
    splitter = Splitter(io.BytesIO(b"COPY t FROM stdin;\na\n"))
    next(iter(splitter))
    data = Data(splitter.data())
    with pytest.raises(EOFError):
        data.read()
    assert data.is_cut_off


_PIECES = some.sampled_from(
    ["a", "'x;y'", '"q;"', "$$;$$", "$t$;'$t$", "/*;*/", "--;\n", "(;)", " ", "\n", "E'\\';'", "1"]
)


@given(some.lists(some.lists(_PIECES, min_size=1), min_size=1))
def test_any_mix_of_quotes_and_comments_splits_at_its_own_semicolons(
    statements: list[list[str]],
) -> None:
    text = "".join("S " + " ".join(pieces) + "\n;" for pieces in statements)
    found = split(text)
    assert len(found) == len(statements)
    assert all(statement.startswith("S") for _, statement in found)
