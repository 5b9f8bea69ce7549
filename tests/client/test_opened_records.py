"""Opened records: all of them or nothing, and a label beside them that says what may be done."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from opened_world import DS, HMB, REFUSAL, World

from upcare_mpc.abe.policy import parse
from upcare_mpc.client import access
from upcare_mpc.client.opened_records import groups_of, open_records
from upcare_mpc.errors import InputError, ProtocolError, RefusedError
from upcare_mpc.vault.edition import Edition, Place, Root, open_head
from upcare_mpc.vault.payload import OPENED


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setattr(access, "FetchedVault", world.platform.vault)
    world.publish("de-a", {1: DS, 2: HMB, 3: "use:genetic"})
    world.publish("de-b", {1: HMB, 4: "and(use:hmb,use:non-commercial)"})
    world.grant()
    return world


def test_writes_one_table_of_all_registries(world: World, tmp_path: Path) -> None:
    world.fetch()
    out = tmp_path / "records.parquet"
    open_records(world.asked, out)

    table = pq.read_table(out)
    assert table.schema.names == ["registry", *OPENED.names]
    found = zip(table["registry"].to_pylist(), table["follow_up_days"].to_pylist(), strict=True)
    assert sorted(found) == [("de-a", 1001), ("de-a", 1002), ("de-b", 1001), ("de-b", 1004)]
    assert out.stat().st_mode & 0o777 == 0o600


def test_the_label_says_what_may_be_done(world: World, tmp_path: Path) -> None:
    world.fetch()
    opened = open_records(world.asked, tmp_path / "records.parquet")

    label: dict[str, Any] = json.loads((tmp_path / "records.label.json").read_text("utf-8"))
    assert label == opened.content
    inside = pq.read_schema(tmp_path / "records.parquet").metadata[b"upcare_label"]
    assert json.loads(inside) == label
    assert label["request"] == world.asked.digest.hex()
    assert (label["project"], label["month"], label["diseases"]) == ("p-17", "2026-11", "C50")
    assert label["purposes"] == ["research on one disease or some (DUO:0000007)"]
    assert (label["records"], label["tumours"]) == (4, 4)
    assert [one["name"] for one in label["registries"]] == ["de-a", "de-b"]
    conditions = [group["conditions"] for group in label["registries"][1]["groups"]]
    assert sorted(conditions) == [
        ["no commercial use", "research on health, medicine or biology"],
        ["research on health, medicine or biology"],
    ]
    assert any("after 2026-11-30, delete" in duty for duty in label["duties"])
    assert any("ethics vote 12/2026" in duty for duty in label["duties"])


def test_nothing_is_opened_before_it_is_fetched(world: World, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="the records are not here yet"):
        open_records(world.asked, tmp_path / "records.parquet")
    world.fetch()
    with pytest.raises(InputError, match=r"ends in \.parquet"):
        open_records(world.asked, tmp_path / "records.csv")


def test_one_altered_object_and_nothing_is_written(world: World, tmp_path: Path) -> None:
    """The last registry's last object: everything before it has opened."""
    world.fetch()
    out = tmp_path / "records.parquet"
    out.write_bytes(b"an older file")
    folder = world.asked.path / "vault" / "de-b"
    for path in folder.glob("*"):
        if path.name != "head" and path.read_bytes().startswith(b"UVB1"):
            content = path.read_bytes()
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    with pytest.raises(ProtocolError, match=REFUSAL):
        open_records(world.asked, out)
    assert out.read_bytes() == b"an older file"
    assert [path.name for path in tmp_path.glob("records*")] == ["records.parquet"]


def test_a_key_that_was_altered_opens_nothing(world: World, tmp_path: Path) -> None:
    world.fetch()
    path = world.asked.path / "key"
    path.write_text(path.read_text("ascii")[:-8], "ascii")

    with pytest.raises(ProtocolError, match=REFUSAL):
        open_records(world.asked, tmp_path / "records.parquet")
    assert list(tmp_path.glob("records*")) == []


def test_an_edition_that_was_put_back_into_the_folder(world: World, tmp_path: Path) -> None:
    world.fetch()
    head = world.asked.path / "vault" / "de-a" / "head"
    head.write_bytes((world.asked.path / "vault" / "de-b" / "head").read_bytes())

    with pytest.raises(ProtocolError, match=REFUSAL):
        open_records(world.asked, tmp_path / "records.parquet")


def edition(world: World, policy: str) -> Edition:
    head = world.platform.stores["de-a"].objects["head"]
    there = Edition.from_bytes(open_head(head)[0])
    place = Place(registry="de-a", epoch="2026-11", sequence=1, policy=str(parse(policy)))
    return Edition(
        registry="de-a",
        day=there.day,
        sequence=1,
        shelf=there.shelf,
        groups=(Root(place=place, rows=64, name="0" * 64),),
    )


@pytest.mark.parametrize(
    "policy",
    [
        "use:hmb",
        "and(epoch:2026-11,use:hmb)",
        "and(site:de-a,use:hmb)",
        "and(epoch:2026-11,or(site:de-a,use:hmb))",
        "and(epoch:2026-11,site:de-b,use:hmb)",
    ],
)
def test_a_policy_that_is_not_bound_to_registry_and_month(world: World, policy: str) -> None:
    key = world.collect().key
    assert key is not None

    with pytest.raises(ProtocolError, match=REFUSAL):
        groups_of(edition(world, policy), "2026-11", key)


def test_a_policy_that_the_key_does_not_satisfy_is_passed_over(world: World) -> None:
    key = world.collect().key
    assert key is not None

    assert groups_of(edition(world, "and(site:de-a,epoch:2026-11,use:poa)"), "2026-11", key) == []
    assert (
        len(groups_of(edition(world, "and(site:de-a,epoch:2026-11,use:ds)"), "2026-11", key)) == 1
    )
