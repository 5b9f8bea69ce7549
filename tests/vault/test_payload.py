"""Tumours as bytes and back: one spelling, all values, nothing else."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from frozen_cases import write_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from vault_world import payload, pseudonym, rows

from upcare_mpc.errors import ProtocolError
from upcare_mpc.records.case import Case
from upcare_mpc.records.variables import VARIABLES, Number
from upcare_mpc.storage.snapshot_rows import pseudonym as snapshot_pseudonym
from upcare_mpc.vault.payload import OPENED, payloads, tumours
from upcare_mpc.vault.sizes import MAX_PAYLOAD

ID = bytes(range(16))
TUMOUR = st.fixed_dictionaries(
    {
        name: st.none()
        | (
            st.integers(-(2**31), 2**31)
            if isinstance(variable.type, Number)
            else st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=9)
        )
        for name, variable in VARIABLES.items()
    }
)
FULL = {
    name: 12 if isinstance(variable.type, Number) else "C50.9"
    for name, variable in VARIABLES.items()
}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(TUMOUR, min_size=1, max_size=3), min_size=1, max_size=4))
def test_what_is_written_reads_back(patients: list[list[dict[str, Any]]]) -> None:
    batch = rows(*((pseudonym(n), all_) for n, all_ in enumerate(patients)))

    written = list(payloads(batch))
    ids = [bytes([n]) * 16 for n in range(len(patients))]
    back = tumours(ids, [one for _, one in written if one is not None])

    assert [who for who, _ in written] == [pseudonym(n) for n in range(len(patients))]
    flat = [
        {"record": identity} | tumour
        for identity, all_ in zip(ids, patients, strict=True)
        for tumour in all_
    ]
    assert back.schema == OPENED
    assert back.to_pylist() == flat


def test_a_payload_names_neither_patient_nor_source() -> None:
    ((who, written),) = payloads(rows((pseudonym(7), [FULL])))

    assert written is not None
    assert who not in written
    assert written.splitlines()[1].split(b"\t") == [
        b"12" if isinstance(variable.type, Number) else b"C50.9" for variable in VARIABLES.values()
    ]


@pytest.mark.parametrize("code", ["a\tb", "a\nb", "é", "\x00", "a\rb", "\x7f"])
def test_a_record_with_another_character_is_sealed_for_nobody(code: str) -> None:
    batch = rows((pseudonym(1), [{"region": code}]), (pseudonym(2), [{"region": "FRF11"}]))

    (_, first), (_, second) = payloads(batch)

    assert first is None
    assert second is not None


def test_a_record_that_is_too_long_is_sealed_for_nobody() -> None:
    line = len(payload(FULL, FULL)) - len(payload(FULL))
    fits = (MAX_PAYLOAD - len(payload(FULL))) // line + 1

    assert len(payload(*[FULL] * fits)) <= MAX_PAYLOAD
    ((_, written),) = payloads(rows((pseudonym(1), [FULL] * (fits + 1))))
    assert written is None


def altered(change: Any) -> bytes:
    first, _, body = payload(FULL).partition(b"\n")
    return bytes(change(first + b"\n", body))


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        altered(lambda first, body: b"UVR2" + first[4:] + body),
        altered(lambda first, body: first[:5] + b"0" * 16 + b"\n" + body),
        altered(lambda first, body: first),
        altered(lambda first, body: first + body[:-1]),
        altered(lambda first, body: first + body + b"\0"),
        altered(lambda first, body: first + body + b"\n"),
        altered(lambda first, body: first + body.replace(b"\t", b"", 1)),
        altered(lambda first, body: first + b"\t" + body),
        altered(lambda first, body: first + body.replace(b"12", b"012", 1)),
        altered(lambda first, body: first + body.replace(b"12", b" 12", 1)),
        altered(lambda first, body: first + body.replace(b"12", b"+12", 1)),
        altered(lambda first, body: first + body.replace(b"12", b"1e1", 1)),
        altered(lambda first, body: first + body.replace(b"12", b"9" * 30, 1)),
        altered(lambda first, body: first + body.replace(b"C50.9", b"C50\r9", 1)),
        altered(lambda first, body: first + body.replace(b"C50.9", b"C50\xff9", 1)),
        altered(lambda first, body: first + body.replace(b"C50.9", b"C50\x019", 1)),
        altered(lambda first, body: first + body.replace(b"C50.9", b"C50\x7f9", 1)),
        altered(lambda first, body: first + body.replace(b"C50.9", "C50\u00e9".encode(), 1)),
    ],
)
def test_any_other_bytes_are_refused(bad: bytes) -> None:
    for before in ([], [payload(FULL)]):
        with pytest.raises(ProtocolError) as caught:
            tumours([ID] * (len(before) + 1), [*before, bad])
        assert "C50" not in str(caught.value)


def test_quotes_are_letters_like_others() -> None:
    written = payload({"region": '"a"', "site": "'"})

    (back,) = tumours([ID], [written]).to_pylist()

    assert (back["region"], back["site"]) == ('"a"', "'")


def test_a_snapshot_is_what_payloads_are_written_from(tmp_path: Path) -> None:
    cases = [
        Case(patient_id=f"p{n // 2}", tumour_id=f"t{n}", sequence=1 + n % 2, age=40 + n)
        for n in range(20)
    ]
    write_cases(cases, tmp_path / "rows", secret=b"s" * 32, rules=1)
    (row_group,) = pq.read_table(tmp_path / "rows").combine_chunks().to_batches()

    written = dict(payloads(row_group))

    assert set(written) == {snapshot_pseudonym(b"s" * 32, f"p{n}") for n in range(10)}
    back = tumours(list(written), [one for one in written.values() if one is not None])
    assert sorted(back["age"].to_pylist()) == list(range(40, 60))
    assert set(back["age_group"].to_pylist()) == {"40-44", "45-49", "50-54", "55-59"}


def test_rows_of_a_slice_are_those_of_the_slice() -> None:
    batch = rows(*((pseudonym(n), [{"age": n}]) for n in range(5)))
    sliced = pa.Table.from_batches([batch]).slice(2, 2).combine_chunks().to_batches()[0]

    assert [who for who, _ in payloads(sliced)] == [pseudonym(2), pseudonym(3)]
