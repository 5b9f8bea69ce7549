"""One patient at a time: what was read is gone, and the helpers find elements by local name."""

import io

from lxml import etree

from upcare_mpc.ingest.elements import (
    attribute,
    child,
    children,
    fields,
    inner_text,
    local,
    patients,
    raw_text,
    raw_texts,
    texts,
)


def test_what_was_handed_out_is_gone_when_the_next_one_comes():
    group = "<Group><Other/><Patient><a/></Patient><Other/><Patient><a/></Patient></Group>"
    content = f"<oBDS>{group * 50}</oBDS>".encode()

    *_, left = (
        sum(1 for _ in patient.getroottree().iter())
        for patient in patients(io.BytesIO(content), "file")
    )

    # Root and group; the patient before, emptied, and what follows it; the patient and its child.
    assert left == 6


def test_elements_are_found_by_local_name_whatever_their_namespace():
    element = etree.fromstring(
        '<r xmlns="urn:a" xmlns:b="urn:b"><!-- c --><x> one </x><b:x>two</b:x><y/><?p i?>'
        "<b:z>3</b:z></r>"
    )

    assert [local(found) for found in children(element, "x")] == ["x", "x"]
    assert child(element, "x").text == " one "
    assert child(element, "nowhere") is child(None, "x") is None
    assert fields(element)["x"].text == " one "  # the first of several
    named = {name: said for name, said in texts(element).items() if name}  # comments have none
    assert named == {"x": "one", "z": "3"}
    assert fields(None) == texts(None) == {}
    assert raw_texts(element)["x"] == inner_text(element, "x") == raw_text(element[1]) == " one "
    assert inner_text(element, "nowhere") is raw_text(None) is None


def test_an_attribute_that_is_empty_is_missing():
    element = etree.fromstring('<r a=" x " b=" " />')

    assert [attribute(element, name) for name in "abc"] == ["x", None, None]
    assert attribute(None, "a") is None
