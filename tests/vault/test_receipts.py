"""A receipt says what was deleted and when, is the registry's, and names nobody."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from vault_world import World, pseudonym

from upcare_mpc.errors import ProtocolError
from upcare_mpc.vault.receipts import check_receipt, receipts, token_of
from upcare_mpc.vault.state import State

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
REFUSAL = "this is not a receipt of de-a for a withdrawal"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.publish(*(world.change(n) for n in range(5)))
    return world


def withdrawn(world: World, *patients: int) -> State:
    return world.publish(*(world.change(n, None) for n in patients), day=date(2026, 11, 3))


def test_a_withdrawal_has_a_receipt_that_the_patient_can_show(world: World) -> None:
    state = withdrawn(world, 3)
    (text,) = receipts(state, deleted=NOON, sign=world.sign)

    receipt = check_receipt(text, registry="de-a", verify=world.verify)

    assert receipt.token == token_of(pseudonym(3), 2)
    assert (receipt.edition, receipt.day, receipt.versions) == (2, "2026-11-03", 1)
    assert receipt.deleted == "2026-11-03T12:00:00.000Z"
    assert receipt.block not in world.store.objects


def test_a_receipt_names_no_patient(world: World) -> None:
    state = withdrawn(world, 1, 3)
    texts = receipts(state, deleted=NOON, sign=world.sign)

    assert len(texts) == 2
    for text in texts:
        for patient in (1, 3):
            assert pseudonym(patient).hex() not in text
    assert token_of(pseudonym(3), 2) != token_of(pseudonym(3), 3)


def test_receipts_can_be_written_again_after_a_restart(world: World) -> None:
    state = withdrawn(world, 3)

    assert receipts(world.keeper.state(), deleted=NOON, sign=world.sign) == receipts(
        state, deleted=NOON, sign=world.sign
    )
    world.publish(day=date(2026, 11, 4))
    assert receipts(world.keeper.state(), deleted=NOON, sign=world.sign) == []


def test_only_withdrawals_have_receipts(world: World) -> None:
    state = world.publish(world.change(1, "use:odd"), world.change(2, age=4), day=date(2026, 11, 3))

    assert receipts(state, deleted=NOON, sign=world.sign) == []


def test_an_altered_receipt_is_refused(world: World, tmp_path: Path) -> None:
    (text,) = receipts(withdrawn(world, 3), deleted=NOON, sign=world.sign)
    fields = json.loads(text)

    for name, value in [("edition", 3), ("deleted", "2026-11-02T12:00:00.000Z"), ("versions", 2)]:
        changed = json.dumps({**fields, name: value}, sort_keys=True, separators=(",", ":"))
        with pytest.raises(ProtocolError, match="not signed"):
            check_receipt(changed, registry="de-a", verify=world.verify)
    with pytest.raises(ProtocolError, match="not signed"):
        check_receipt(text, registry="de-a", verify=World(tmp_path / "other").verify)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text + " ",
        lambda text: text[:-1],
        lambda text: text.replace('"edition":2', '"edition":2.0'),
        lambda text: text.replace('"edition":2', '"edition":"2"'),
        lambda text: text.replace("de-a", "de-b"),
        lambda text: text.replace("withdrawal", "narrowing"),
        lambda text: text.replace('"signature":"', '"signature":"zz'),
        lambda text: text.replace('"signature":"', '"signature":"0'),
        lambda text: text.replace('"signature":"', '"signature":"' + "00" * 600),
        lambda text: text.replace('{"block"', '{"a":1,"block"'),
        lambda text: text.replace('{"block"', '{"block":"","block"'),
        lambda text: "[" * 4096,
        lambda text: "[" * 100_000,
        lambda text: '{"block":"\\ud800"}',
    ],
)
def test_anything_else_is_no_receipt(world: World, change: object) -> None:
    (text,) = receipts(withdrawn(world, 3), deleted=NOON, sign=world.sign)
    changed = change(text)  # type: ignore[operator]
    assert changed != text

    with pytest.raises(ProtocolError, match=REFUSAL):
        check_receipt(changed, registry="de-a", verify=world.verify)
