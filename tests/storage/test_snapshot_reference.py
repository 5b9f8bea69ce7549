"""Population and life table of a snapshot: read back exactly, named by their content."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import DataError
from upcare_mpc.records.reference import NOTHING, LifeTable, Reference, Residents, Stratum
from upcare_mpc.storage.snapshot_reference import decoded, encoded

STRATA = st.builds(
    Stratum,
    st.integers(1900, 2100),
    st.sampled_from(["female", "male"]),
    st.integers(0, 120),
    st.none() | st.integers(0, 120),
    st.none() | st.sampled_from(["FRF11", "DE2"]),
)
COUNTS = st.floats(0, 1e12)
LINES = st.lists(st.floats(0, 1), min_size=1, max_size=5).map(tuple)
REFERENCES = st.builds(
    Reference,
    st.lists(st.builds(Residents, STRATA, COUNTS), max_size=5).map(tuple),
    st.dictionaries(
        st.tuples(st.sampled_from(["female", "male"]), st.integers(1900, 2100)), LINES, max_size=5
    ).map(LifeTable),
)


@given(REFERENCES)
def test_what_is_written_is_read_back_exactly(reference: Reference) -> None:
    content = encoded(reference)

    assert decoded(content) == reference
    assert encoded(decoded(content)) == content


def test_nothing_is_no_bytes() -> None:
    assert encoded(NOTHING) == b""
    assert decoded(b"") == NOTHING


@pytest.mark.parametrize(
    "content", [b"{", b"[2,[],[]]", b"[1,[]]", b"[1,[[2000]],[]]", b"[1,[],[[1]]]", b"7", b"\xff"]
)
def test_damaged_bytes_are_one_clear_error(content: bytes) -> None:
    with pytest.raises(DataError, match="is damaged"):
        decoded(content)
