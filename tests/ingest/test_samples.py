"""Public sample files of all German formats, as odd as real ones, give the cases that they should.

They are not part of the repository (their licences differ). `UPCARE_SAMPLES` names a folder with
them; without it, a folder `data/obds` in any folder beside this checkout will do. Elsewhere these
tests are skipped and say what is missing; the small samples in `tests/data/ingest` cover each
format always. `golden_samples.json` says what each file must give, and for more than a dozen how
that was counted by hand.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from upcare_mpc.ingest.delivery import Source, read
from upcare_mpc.records.variables import VARIABLES

GOLDEN = json.loads((Path(__file__).parent / "golden_samples.json").read_text())["samples"]
BESIDE = Path(__file__).parents[3]
FOUND = sorted(BESIDE.glob("*/data/obds"))
ROOT = Path(os.environ.get("UPCARE_SAMPLES") or (FOUND[0] if FOUND else BESIDE / "no samples"))

pytestmark = pytest.mark.skipif(
    not ROOT.is_dir(),
    reason="SAMPLES MISSING: no public oBDS samples beside this checkout; set UPCARE_SAMPLES to "
    "the folder that holds v2_samply, v2v3_pcvolkmer, rki, ... (golden_samples.json names all)",
)


def read_sample(name):
    path = ROOT / name
    paths = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    sources = [Source(path.name, lambda path=path: path.open("rb")) for path in paths]
    return read(sources, complete=frozenset())


@pytest.mark.parametrize("name", GOLDEN)
def test_a_sample_gives_the_cases_of_the_golden_file(name):
    wanted = GOLDEN[name]

    delivery = read_sample(name)

    assert {
        "format": next(iter(delivery.tally.formats)),
        "messages": delivery.tally.messages,
        "patients": delivery.patients,
        "cases": delivery.tumours,
        "replaced": delivery.tally.replaced,
        "rejected": delivery.tally.rejected,
    } == {key: value for key, value in wanted.items() if key != "by_hand"}
    for case in delivery.cases:
        for variable in VARIABLES.values():
            value = getattr(case, variable.name)
            assert value is None or variable.type.accepts(value), variable.name


def test_no_sample_is_left_out():
    there = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.xml")}

    assert there <= set(GOLDEN)
    assert sum("by_hand" in sample for sample in GOLDEN.values()) >= 12


def test_the_tables_of_the_published_yearly_delivery_give_the_cases_of_its_xml():
    from_tables = read_sample("rki/Beispieldaten/csv")
    from_xml = read_sample("rki/Beispieldaten/xml/oBDS_v3.0.0.8a_RKI_Sample.xml")

    assert from_tables.cases == from_xml.cases
    assert len(from_xml.cases) == 75


def test_a_message_converted_from_version_2_to_3_gives_the_same_case():
    """Pairs of one converter's own tests; it invents the tumour keys that version 2 lacks."""
    folder = ROOT / "v2v3_pcvolkmer"
    different_on_purpose = {"obdsv2_modul_prostata.xml"}  # another tumour
    pairs = [
        (old, folder / old.name.replace("obdsv2_", "obdsv3_"))
        for old in sorted(folder.glob("obdsv2_*.xml"))
        if old.name not in different_on_purpose
    ]
    pairs = [(old, new) for old, new in pairs if new.exists()]

    assert len(pairs) >= 20
    for old, new in pairs:
        before, after = (
            [replace(case, tumour_id="") for case in read_sample(path).cases] for path in (old, new)
        )
        assert before == after, old.name


def test_all_samples_of_all_versions_may_stand_in_one_delivery():
    paths = sorted(ROOT.rglob("*.xml")) + sorted((ROOT / "rki/Beispieldaten/csv").glob("*.csv"))
    sources = [Source(path.name, lambda path=path: path.open("rb")) for path in paths]

    delivery = read(sources, complete=frozenset())

    assert set(delivery.tally.formats) == {"ADT_GEKID 2", "oBDS 3", "oBDS-RKI", "oBDS-RKI table"}
    # The tables replace the same tumours of the XML.
    assert delivery.tally.replaced >= 75
    assert delivery.tally.messages == sum(sample["messages"] for sample in GOLDEN.values())
