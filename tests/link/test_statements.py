"""What is signed: every field counts, and no statement can be read as another."""

import itertools
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc._proto.upcare.board.v1 import board_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.errors import ProtocolError
from upcare_mpc.link import statements
from upcare_mpc.mpc.opening import output_statement
from upcare_mpc.mpc.programs.inputs import commitment_statement

KEY = Ed25519PrivateKey.generate()
OTHER = Ed25519PrivateKey.generate()
NOW = 1_800_000_000


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def request(**changed: Any) -> study_pb2.StudyRequest:
    """A signed request; what is changed is changed before signing."""
    fields = {
        "study": b"a study",
        "signing_key": public(KEY),
        "sealing_key": bytes(range(32)),
        "not_after": NOW + 60,
        "nonce": bytes(16),
        "method": "submit",
    }
    made = study_pb2.StudyRequest(**{**fields, **changed})
    made.signature = KEY.sign(statements.request_statement(made))
    return made


def authorization(**changed: Any) -> study_pb2.Authorization:
    fields = {
        "study_digest": bytes(32),
        "signing_key": public(KEY),
        "not_after": NOW + 60,
        "method": "Watch",
    }
    made = study_pb2.Authorization(**{**fields, **changed})
    made.signature = KEY.sign(statements.authorization_statement(made))
    return made


# -- study requests ---------------------------------------------------------------------------


def test_a_signed_request_is_accepted() -> None:
    statements.check_request(request(), "submit", now=NOW)


def FIELD_ONLY(value: Any) -> str:
    """Name a case by its field: a key is another in each process that collects the tests."""
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("study", b"another"),
        ("signing_key", public(OTHER)),
        ("sealing_key", bytes(32)),
        ("not_after", NOW + 61),
        ("nonce", bytes([1] * 16)),
        ("method", "close"),
        ("collection", bytes(32)),
        ("signature", bytes(64)),
        ("signature", b""),
    ],
    ids=FIELD_ONLY,
)
def test_a_request_altered_after_signing_is_refused(field: str, value: Any) -> None:
    made = request()
    setattr(made, field, value)

    with pytest.raises(ProtocolError, match="not signed by the key"):
        statements.check_request(made, "submit", now=NOW)


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), b"\xff" * 32], ids=len)
def test_a_signing_key_that_is_none_is_refused(key: bytes) -> None:
    with pytest.raises(ProtocolError, match="not signed by the key"):
        statements.check_request(request(signing_key=key), "submit", now=NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"study": b""},
        {"study": bytes((64 << 10) + 1)},
        {"sealing_key": bytes(31)},
        {"sealing_key": bytes(33)},
        {"nonce": b""},
        {"nonce": bytes(17)},
        {"collection": bytes(32)},
    ],
    ids=lambda c: f"{next(iter(c))} of {len(next(iter(c.values())))}",
)
def test_a_request_of_a_wrong_form_is_refused(changed: dict[str, bytes]) -> None:
    with pytest.raises(ProtocolError, match="a study"):
        statements.check_request(request(**changed), "submit", now=NOW)


@pytest.mark.parametrize("method", ["preview", "close", "", "Submit"])
def test_a_request_is_good_for_what_it_is_signed_for_alone(method: str) -> None:
    made = request(method=method, collection=bytes(32) if method == "close" else b"")

    with pytest.raises(ProtocolError, match=f"signed to submit, not '{method}'"):
        statements.check_request(made, "submit", now=NOW)


def test_a_request_to_close_names_a_collection() -> None:
    made = request(method="close", collection=bytes(32))
    statements.check_request(made, "submit", "close", now=NOW)

    with pytest.raises(ProtocolError, match="names a collection if it closes one"):
        statements.check_request(request(method="close"), "close", now=NOW)


def test_an_old_request_is_refused() -> None:
    with pytest.raises(ProtocolError, match="no longer valid"):
        statements.check_request(request(not_after=NOW - 1), "submit", now=NOW)


def test_a_request_for_more_than_a_month_is_refused() -> None:
    month = 31 * 24 * 3600
    statements.check_request(request(not_after=NOW + month), "submit", now=NOW)

    with pytest.raises(ProtocolError, match="31 days at most"):
        statements.check_request(request(not_after=NOW + month + 1), "submit", now=NOW)


# The points of order 1, 2, 4 and 8 as X25519 reads them (RFC 7748, section 5): what any key
# agrees on with them is zero, so a share sealed to one would be open to everybody.
SMALL_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    2**255 - 20,
    2**255 - 19,
    2**255 - 18,
]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_sealing_key_that_nothing_can_be_sealed_to_is_refused(point: int) -> None:
    key = point.to_bytes(32, "little")

    with pytest.raises(ProtocolError, match="a sealing key that can be sealed to"):
        statements.check_request(request(sealing_key=key), "submit", now=NOW)


# -- authorizations ---------------------------------------------------------------------------


def test_a_fresh_authorization_is_accepted_for_its_method() -> None:
    statements.check_authorization(authorization(), "Watch", now=NOW)


def test_an_authorization_is_for_one_method() -> None:
    with pytest.raises(ProtocolError, match="for Watch, not Result"):
        statements.check_authorization(authorization(), "Result", now=NOW)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("study_digest", bytes([1] * 32)),
        ("signing_key", public(OTHER)),
        ("not_after", NOW + 59),
        ("method", "Result"),
        ("signature", bytes(64)),
    ],
    ids=FIELD_ONLY,
)
def test_an_authorization_altered_after_signing_is_refused(field: str, value: Any) -> None:
    made = authorization()
    setattr(made, field, value)

    with pytest.raises(ProtocolError, match="not signed"):
        statements.check_authorization(made, "Result" if field == "method" else "Watch", now=NOW)


@pytest.mark.parametrize("not_after", [NOW - 1, NOW + 700, 1 << 62])
def test_an_authorization_is_in_force_for_minutes_only(not_after: int) -> None:
    with pytest.raises(ProtocolError, match="not in force"):
        statements.check_authorization(authorization(not_after=not_after), "Watch", now=NOW)


def test_a_researcher_asks_about_her_own_request_for_one_method_and_minutes() -> None:
    made = statements.authorize_access(bytes(32), "fetch de-a", KEY, now=NOW)

    statements.check_access(made, "fetch de-a", now=NOW)
    statements.check_access(made, "fetch de-a", now=NOW + 600)
    with pytest.raises(ProtocolError, match="for fetch de-a, not fetch de-b"):
        statements.check_access(made, "fetch de-b", now=NOW)
    for now in (NOW - 61, NOW + 601):
        with pytest.raises(ProtocolError, match="not in force"):
            statements.check_access(made, "fetch de-a", now=now)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("request_digest", bytes([1] * 32)),
        ("signing_key", public(OTHER)),
        ("not_after", NOW + 599),
        ("method", "follow"),
        ("signature", bytes(64)),
    ],
    ids=FIELD_ONLY,
)
def test_an_access_authorization_altered_after_signing_is_refused(field: str, value: Any) -> None:
    made = statements.authorize_access(bytes(32), "fetch de-a", KEY, now=NOW)
    setattr(made, field, value)

    with pytest.raises(ProtocolError, match="not signed"):
        statements.check_access(made, "fetch de-a", now=NOW)


# -- no statement is another ------------------------------------------------------------------


SHORT = st.text(st.characters(codec="utf-8"), max_size=5)
DIGEST = st.binary(min_size=32, max_size=32)


def every_use() -> dict[str, st.SearchStrategy[bytes]]:
    return {
        "request": st.builds(
            lambda a, b, c, d, e, f, g: statements.request_statement(
                study_pb2.StudyRequest(
                    study=a,
                    signing_key=b,
                    sealing_key=c,
                    not_after=d,
                    nonce=e,
                    method=f,
                    collection=g,
                )
            ),
            st.binary(max_size=5),
            st.binary(max_size=5),
            st.binary(max_size=5),
            st.integers(-(1 << 63), (1 << 63) - 1),
            st.binary(max_size=5),
            SHORT,
            st.binary(max_size=5),
        ),
        "authorization": st.builds(
            lambda a, b, c, d: statements.authorization_statement(
                study_pb2.Authorization(study_digest=a, signing_key=b, not_after=c, method=d)
            ),
            st.binary(max_size=5),
            st.binary(max_size=5),
            st.integers(-(1 << 63), (1 << 63) - 1),
            SHORT,
        ),
        "access": st.builds(
            lambda a, b, c, d: statements.access_statement(
                board_pb2.AccessAuthorization(
                    request_digest=a, signing_key=b, not_after=c, method=d
                )
            ),
            st.binary(max_size=5),
            st.binary(max_size=5),
            st.integers(-(1 << 63), (1 << 63) - 1),
            SHORT,
        ),
        "approval": st.builds(statements.approval_statement, DIGEST, SHORT, SHORT),
        "no output": st.builds(statements.no_output_statement, DIGEST, SHORT),
        "spent": st.builds(
            lambda a, b, c, d, e: statements.spent_statement(
                study_pb2.Spent(session_digest=a, registry=b, epsilon=c, rho=d, delta=e)
            ),
            DIGEST,
            SHORT,
            SHORT,
            SHORT,
            SHORT,
        ),
        "input": st.builds(commitment_statement, DIGEST, st.integers(0, 6), st.binary(max_size=96)),
        "agreement": st.builds(lambda d: b"upcare/v1/agree|" + d, DIGEST),
        "output": st.builds(
            output_statement, DIGEST, st.integers(0, 6), DIGEST, st.binary(max_size=9)
        ),
    }


@pytest.mark.parametrize(
    ("one", "another"), list(itertools.combinations(every_use(), 2)), ids=" and ".join
)
@given(data=st.data())
def test_statements_of_different_uses_are_never_equal(
    one: str, another: str, data: st.DataObject
) -> None:
    uses = every_use()
    first, second = data.draw(uses[one]), data.draw(uses[another])

    assert first != second
    # not by luck: up to the first bar they say their use, and the bar is in no use
    assert first.split(b"|", 1)[0] != second.split(b"|", 1)[0]


@given(st.tuples(SHORT, SHORT, SHORT), st.tuples(SHORT, SHORT, SHORT))
def test_fields_cannot_run_into_each_other(
    one: tuple[str, str, str], another: tuple[str, str, str]
) -> None:
    def statement(fields: tuple[str, str, str]) -> bytes:
        return statements.approval_statement(fields[0].encode(), fields[1], fields[2])

    assert (statement(one) == statement(another)) == (one == another)


def test_a_name_split_elsewhere_gives_another_statement() -> None:
    assert statements.approval_statement(b"s", "de-a", "b") != statements.approval_statement(
        b"s", "de-", "ab"
    )
