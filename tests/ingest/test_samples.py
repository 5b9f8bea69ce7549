"""Public sample files of oBDS 3 and ADT_GEKID 2, as odd as real ones, load without a crash.

They are not part of the repository (their licences differ). Where a folder beside the checkout has
them in ``data/obds``, these tests run; elsewhere they are skipped and say what is missing.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from upcare_mpc.errors import DataError
from upcare_mpc.ingest.delivery import Source, read
from upcare_mpc.records.variables import VARIABLES

BESIDE = Path(__file__).parents[3]
ROOT = next(iter(sorted(BESIDE.glob("*/data/obds"))), BESIDE / "samples" / "data" / "obds")
SAMPLES = sorted(ROOT.rglob("v[23]*/*.xml"))

pytestmark = pytest.mark.skipif(
    not SAMPLES,
    reason="no public oBDS samples: put folders of .xml files, named v2... (ADT_GEKID 2) and v3... "
    "(oBDS 3), into data/obds of a folder beside this checkout",
)


def read_path(path):
    return read([Source(path.name, lambda: path.open("rb"))], complete=frozenset())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_sample_loads_and_every_message_is_accounted_for(path):
    delivery = read_path(path)

    unused = delivery.replaced + sum(delivery.rejected.values())
    assert delivery.messages >= unused + delivery.tumours
    assert delivery.tumours > 0
    for case in delivery.cases:
        for variable in VARIABLES.values():
            value = getattr(case, variable.name)
            assert value is None or variable.type.accepts(value), variable.name


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
            [replace(case, tumour_id="") for case in read_path(path).cases] for path in (old, new)
        )
        assert before == after, old.name


def test_the_yearly_rki_layout_is_refused_by_name():
    (path,) = ROOT.rglob("*RKI_Sample.xml")

    with pytest.raises(DataError, match="the yearly oBDS-RKI layout is not supported"):
        read_path(path)
