"""Words of others on a researcher's terminal."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.client.words import exact_fraction, one_line
from upcare_mpc.errors import ProtocolError


def test_an_escape_sequence_of_a_registry_does_not_steer_the_terminal() -> None:
    assert one_line("no\x1b[2J\r\nupcare: done") == "no [2J  upcare: done"


@given(st.text())
def test_any_text_becomes_one_printable_line(text: str) -> None:
    line = one_line(text)

    assert line == "" or line.isprintable()
    assert len(line) <= 1000


@given(st.fractions())
def test_every_exact_fraction_is_read_back(value: Fraction) -> None:
    if len(str(value)) < 60:
        assert exact_fraction(str(value)) == value


@pytest.mark.parametrize("text", ["", "1/0", "1e9", "nan", "0.5", " 1", "1/2/3", "٣", "9" * 100])
def test_what_is_no_exact_fraction_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        exact_fraction(text)
