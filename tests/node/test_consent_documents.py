"""Consents from hospitals: in the order of days, read once, and a "no" wherever one may hide."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from said import TODAY, no, permission
from test_fhir_mii import broad_consent, denied

from upcare_mpc.consent.fhir import write_consent
from upcare_mpc.consent.model import Activity, Answer, Consent
from upcare_mpc.errors import InputError
from upcare_mpc.node import consent_documents
from upcare_mpc.node.consent_documents import UNREAD, Reading, next_version, read_documents

EARLIER, LATER = "2021-01-01", "2022-01-01"


def pseudonym_of(patient_id: str) -> bytes:
    return hashlib.blake2b(patient_id.encode(), digest_size=16).digest()


ANNA = pseudonym_of("9b4a702d")  # the patient of the broad consents


def write(path: Path, content: object) -> Path:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, "utf-8")
    return path


def reading(
    paths: Sequence[Path],
    recorded: Sequence[Consent] = (),
    activities: Sequence[Activity] = (Activity.RECORDS,),
) -> Reading:
    return read_documents(
        paths,
        recorded,
        pseudonym=pseudonym_of,
        data_set="de-a",
        activities=activities,
        today=TODAY,
    )


def own(consent: Consent) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(write_consent(consent))
    return found


def answers(found: Reading) -> list[tuple[int, Answer]]:
    return [(one.version, one.answer) for one in found.new]


def test_one_resource_a_bundle_lines_and_a_folder_say_the_same(tmp_path: Path) -> None:
    one = write(tmp_path / "one.json", broad_consent())
    entries = [{"resource": {"resourceType": "Patient"}}, {"resource": broad_consent()}]
    bundle = write(tmp_path / "bundle.json", {"resourceType": "Bundle", "entry": entries})
    lines = write(tmp_path / "lines.ndjson", f"\n{json.dumps(broad_consent())}\n\n")
    (tmp_path / "folder" / "below").mkdir(parents=True)
    write(tmp_path / "folder" / "below" / "one.json", broad_consent())
    write(tmp_path / "folder" / "README.txt", "hello")

    found = [reading([path]) for path in (one, bundle, lines, tmp_path / "folder")]

    assert [each.new for each in found] == [found[0].new] * 4
    assert [each.documents for each in found] == [1] * 4
    assert [each.others for each in found] == [0, 1, 0, 1]
    assert found[0].new[0].patient == ANNA
    assert answers(found[0]) == [(1, Answer.PERMITTED)]


def test_it_is_about_what_the_registry_takes_it_for(tmp_path: Path) -> None:
    path = write(tmp_path / "one.json", broad_consent())

    both = reading([path], activities=list(Activity)).new

    assert {(one.activity, one.version) for one in both} == {(a, 1) for a in Activity}


def test_our_own_profile_comes_back_as_it_was(tmp_path: Path) -> None:
    first, second = permission(), no(version=2)
    entries = [{"resource": own(second)}, {"resource": own(first)}]
    path = write(tmp_path / "own.json", {"resourceType": "Bundle", "entry": entries})

    assert reading([path]).new == [first, second]
    again = reading([path], [first])
    assert (again.new, again.already) == ([second], 1)


def test_a_no_of_ours_with_a_number_that_is_past_counts_if_its_day_is_not(tmp_path: Path) -> None:
    recorded = [permission(version=number, given=date(2021, 1, number)) for number in (1, 2, 3)]

    for day, expected in ((date(2022, 1, 1), [(4, Answer.REFUSED)]), (date(2020, 1, 1), [])):
        document = own(no(version=2, given=day))
        found = reading([write(tmp_path / f"{day}.json", document)], recorded)
        assert (answers(found), found.older) == (expected, 1 - len(expected))
        assert found.unread.total() == len(expected)


def test_broad_consents_are_put_in_the_order_of_their_days(tmp_path: Path) -> None:
    given = broad_consent(dateTime=EARLIER)
    withdrawn = denied(2720, dateTime=LATER)
    path = write(tmp_path / "all.ndjson", "\n".join(map(json.dumps, (withdrawn, given))))

    assert answers(reading([path])) == [(1, Answer.PERMITTED), (2, Answer.WITHDRAWN)]


def test_the_same_files_may_be_read_again(tmp_path: Path) -> None:
    given = write(tmp_path / "given.json", broad_consent(dateTime=EARLIER))
    withdrawn = write(tmp_path / "withdrawn.json", denied(2720, dateTime=LATER))
    recorded = [*reading([given]).new]
    recorded += reading([withdrawn], recorded).new

    again = reading([given, withdrawn], recorded)

    assert (again.new, again.already) == ([], 2)


def test_an_old_permission_that_arrives_late_does_not_supersede_a_withdrawal(
    tmp_path: Path,
) -> None:
    withdrawn = write(tmp_path / "withdrawn.json", denied(2720, dateTime=LATER))
    given = write(tmp_path / "given.json", broad_consent(dateTime=EARLIER))

    late = reading([given], reading([withdrawn]).new)

    assert (late.new, late.older) == ([], 1)


def test_two_answers_of_one_day_contradict_each_other(tmp_path: Path) -> None:
    """Which came first cannot be told; of one version, the gate permits what both permit."""
    withdrawn = write(tmp_path / "withdrawn.json", denied(2720, dateTime=LATER))
    given = write(tmp_path / "given.json", broad_consent(dateTime=LATER))

    for first, second in ((withdrawn, given), (given, withdrawn)):
        recorded = reading([first]).new
        assert [one.version for one in reading([second], recorded).new] == [1]


def test_a_document_that_cannot_be_read_is_noted_as_a_refusal(tmp_path: Path) -> None:
    denial = {"type": "deny", "provision": [{"type": "deny"}]}
    content = broad_consent(dateTime=LATER, provision=denial)
    path = write(tmp_path / "odd.json", content)

    found = reading([path])

    reason = "FHIR Consent.provision.provision[0].type: wanted permit, got something else"
    assert found.unread == {reason: 1}
    form = UNREAD + hashlib.sha256(path.read_bytes()).hexdigest()
    assert {(one.patient, one.activity, one.answer, one.form) for one in found.new} == {
        (ANNA, activity, Answer.REFUSED, form) for activity in Activity
    }


def test_a_document_that_a_person_has_read_is_not_noted_again(tmp_path: Path) -> None:
    path = write(tmp_path / "odd.json", broad_consent(9999))
    recorded = reading([path]).new
    by_hand = permission(
        patient=ANNA, version=next_version(recorded, Activity.RECORDS), given=TODAY
    )

    again = reading([path], [*recorded, by_hand])

    assert (again.new, again.already) == ([], 2)


def test_a_refusal_for_an_unread_document_supersedes_what_was_permitted(tmp_path: Path) -> None:
    recorded = reading([write(tmp_path / "given.json", broad_consent(dateTime=EARLIER))]).new

    found = reading([write(tmp_path / "odd.json", broad_consent(9999))], recorded)

    on_records = [one for one in found.new if one.activity is Activity.RECORDS]
    assert [(one.version, one.answer) for one in on_records] == [(2, Answer.REFUSED)]


@pytest.mark.parametrize(
    "content",
    [
        {"resourceType": "Consent"},
        {"resourceType": "Consent", "patient": "Anna"},
        {"resourceType": "Consent", "patient": {"reference": "Group/1"}},
        {"resourceType": "Consent", "patient": {"reference": "Patient/a/b"}},
        own(permission())
        | {"patient": {"identifier": {"system": "urn:upcare:pseudonym", "value": "zz"}}},
    ],
)
def test_without_a_patient_nothing_of_all_files_is_read(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    good = write(tmp_path / "good.json", broad_consent())
    bad = write(tmp_path / "bad.json", content)

    with pytest.raises(InputError, match=r"^bad.json: .* nothing of these files is recorded$"):
        reading([good, bad])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "{", "a.json: not JSON, from character 2 on"),
        ("a.json", "[]", "a.json: wanted a JSON object"),
        ("a.json", '{"a": 1, "a": 2}', "a.json: a key is given twice"),
        ("a.json", "[" * 17, "a.json: wanted at most 16 levels"),
        ("a.ndjson", '{"resourceType": "Patient"}\n{', "a.ndjson, line 2: not JSON"),
        ("a.ndjson", '"' + "x" * 300_000, "a.ndjson, line 1: wanted at most 262144 bytes"),
        ("a.json", '{"resourceType": "Bundle", "entry": 1}', "Bundle.entry: wanted a list"),
        ("a.json", '{"resourceType": "Bundle", "entry": [1]}', "entry 1: wanted a resource"),
        ("a.txt", "hello", "a.txt: wanted a file"),
    ],
)
def test_a_file_that_is_none_is_one_clear_line(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    path = write(tmp_path / name, content)

    with pytest.raises(InputError) as refused:
        reading([path])

    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_bundle_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consent_documents, "MAX_BUNDLE_BYTES", 1000)

    with pytest.raises(InputError, match="wanted at most 1000 bytes"):
        reading([write(tmp_path / "big.json", broad_consent())])


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (permission(data_set="de-b"), "wanted this data set"),
        (permission(given=date(2999, 1, 1)), "wanted a day not after today"),
        (permission(version=3), "wanted the patient's next version"),
        (permission(version=2**31 - 1), "wanted the patient's next version"),
    ],
)
def test_what_does_not_belong_here_counts_as_unread(
    tmp_path: Path, said: Consent, words: str
) -> None:
    """Above all a version so high that no later answer could supersede it."""
    found = reading([write(tmp_path / "own.json", own(said))])

    assert any(words in reason for reason in found.unread)
    assert {one.answer for one in found.new} == {Answer.REFUSED}
    assert {one.version for one in found.new} == {1}
    assert {one.patient for one in found.new} == {said.patient}


def test_no_reason_quotes_a_document(tmp_path: Path) -> None:
    hidden = "Mustermann"
    content = own(permission()) | {"status": hidden}

    found = reading([write(tmp_path / "own.json", content)])

    assert sum(found.unread.values()) == 1
    assert hidden not in str(found.unread)


def test_the_next_version_is_of_one_activity() -> None:
    said = [permission(), replace(permission(), version=4)]

    assert next_version(said, Activity.RECORDS) == 5
    assert next_version(said, Activity.STATISTICS) == 1
