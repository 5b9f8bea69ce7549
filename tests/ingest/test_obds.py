"""oBDS 3: which documents and codes mean what."""

import io

import pytest

from upcare_mpc.ingest import obds as reader


def messages_of(content):
    return list(reader.messages(io.BytesIO(content), "file"))


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        ("CH", {"chemo"}),
        ("HO", {"hormone"}),
        ("IM", {"immuno"}),
        ("ZS", {"targeted"}),
        ("CI", {"chemo", "immuno"}),
        ("CZ", {"chemo", "targeted"}),
        ("CIZ", {"chemo", "immuno", "targeted"}),
        ("IZ", {"immuno", "targeted"}),
        ("SZ", {"transplant"}),
        ("AS", set()),
        ("WW", set()),
        ("", set()),
    ],
)
def test_a_combined_therapy_code_means_each_of_its_kinds(obds, assignment, code, kinds):
    (message,) = messages_of(obds(assignment() + f"<SYST><Therapieart>{code}</Therapieart></SYST>"))

    assert {therapy.kind for therapy in message.therapies} == kinds


@pytest.mark.parametrize(
    ("operation", "counts"),
    [
        ("<Intention>K</Intention>", True),
        ("<Intention>P</Intention><Menge_OPS><OPS><Code>5-870.a0</Code></OPS></Menge_OPS>", True),
        ("<Intention>D</Intention>", False),
        ("<Intention>K</Intention><Menge_OPS><OPS><Code>1-494.3</Code></OPS></Menge_OPS>", False),
        ("", True),
    ],
)
def test_only_an_operation_that_treats_is_surgery(obds, assignment, operation, counts):
    (message,) = messages_of(obds(assignment() + f"<OP>{operation}</OP>"))

    assert [therapy.kind for therapy in message.therapies] == ["surgery"] * counts


def test_radiotherapy_counts_with_each_begin_or_with_none(obds, assignment):
    series = "<Menge_Bestrahlung>" + "<Bestrahlung><Beginn>2010-05-01</Beginn></Bestrahlung>" * 2
    dated, undated = messages_of(
        obds(
            assignment() + f"<ST>{series}</Menge_Bestrahlung></ST>",
            assignment() + "<ST/>",
        )
    )

    assert [therapy.begun is None for therapy in dated.therapies] == [False, False]
    assert [(therapy.kind, therapy.begun) for therapy in undated.therapies] == [("radio", None)]


def test_names_are_not_kept(obds, assignment):
    (message,) = messages_of(obds(assignment()))

    values = list(message)

    assert "Geheim" not in repr(values)


def test_a_message_does_not_show_itself(obds, assignment):
    (message,) = messages_of(obds(assignment()))

    assert repr(message) == "Message(<hidden>)"
    assert repr(message.diagnosed) == "Moment(<hidden>)"


@pytest.mark.parametrize(
    ("code", "sex"), [("W", "female"), ("M", "male"), ("D", "other"), ("X", "other"), ("U", None)]
)
def test_sex_is_never_guessed(obds, assignment, code, sex):
    content = obds(assignment()).replace(b"<Geschlecht>W", f"<Geschlecht>{code}".encode())

    assert messages_of(content)[0].sex == sex
