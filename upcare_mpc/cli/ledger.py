"""`upcare ledger`: what was charged to a registry's population, and what is left."""

import json
from decimal import ROUND_CEILING, Context, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from upcare_mpc.cli.node import open_database, party_option
from upcare_mpc.cli.show import loss_json, loss_text
from upcare_mpc.config import load_party
from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.accountant import Cap, Spent
from upcare_mpc.privacy.dominating import reported_epsilon
from upcare_mpc.privacy.ledger import Ledger, State
from upcare_mpc.storage.journal_store import SqlJournal

__all__ = ["ledger"]

_UPWARDS = Context(prec=6, rounding=ROUND_CEILING)


@click.group()
def ledger() -> None:
    """Look at a registry's privacy ledger."""


@ledger.command()
@party_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def show(folder: Path, as_json: bool) -> None:
    """Show what was charged and what is left.

    Example: upcare ledger show --party parties/de-a
    """
    party = load_party(folder)
    with open_database(party) as database:
        state = Ledger.replay(party.policy.caps, SqlJournal(database).entries())
    if as_json:
        click.echo(json.dumps(_report(party.name, state)))
        return
    first, *more = _sums(state)
    click.echo(f"{party.name}: {first}")
    for line in more:
        click.echo(f"{' ' * len(party.name)}  {line}")
    for account in state.accounts.values():
        loss = account.charge.loss
        click.echo(
            f"{account.changed_at}  {account.state.value:9}  {loss_text(loss)}  "
            f"delta {float(loss.delta):.3g}  study {account.key.study.hex()[:12]}"
        )


@ledger.command()
@party_option
def verify(folder: Path) -> None:
    """Check the chain of the journal from its first entry.

    Example: upcare ledger verify --party parties/de-a
    """
    party = load_party(folder)
    with open_database(party) as database:
        entries = SqlJournal(database).entries()
        Ledger.replay(party.policy.caps, entries)
    head = entries[-1].digest.hex() if entries else "empty"
    click.echo(f"{party.name}: {len(entries)} entries, the chain holds, head {head}")


def _sums(state: Ledger) -> list[str]:
    """The sums in each measure, what one more study may ask, and what it all comes to."""
    balance, cap = state.balance(), state.caps.everything
    spent, reserved = loss_json(balance.spent), loss_json(balance.reserved)
    caps = {"epsilon": cap.epsilon, "rho": cap.rho, "delta": cap.delta}
    left = {
        "epsilon": balance.epsilon_left,
        "rho": balance.rho_left,
        "delta": balance.delta_left,
    }
    lines = []
    for measure, most in caps.items():
        if most is None or (measure == "epsilon" and balance.together.epsilon is None):
            continue  # no such cap; or no such sum, once a Gaussian study is among them
        lines.append(
            f"{measure} {spent[measure]:.6g} spent, {reserved[measure]:.6g} reserved, "
            f"{float(left[measure]):.6g} left of {float(most):.6g}"
        )
    lines.append(
        f"one more study may ask rho {float(balance.rho_left):.6g} with Gaussian noise, "
        f"or epsilon {float(balance.epsilon_left):.6g} with Laplace noise"
    )
    for purpose, smaller in state.caps.purposes.items():
        lines.append(f"{purpose}: {_of_purpose(smaller, balance.purposes.get(purpose, Spent()))}")
    lines.append(f"all of it together: {_together(state)}")
    return lines


def _of_purpose(cap: Cap, spent: Spent) -> str:
    most = f"rho {float(cap.rho):.6g}" if cap.epsilon is None else f"epsilon {float(cap.epsilon):g}"
    return (
        f"capped at {most}; one more study may ask rho {float(cap.rho_left(spent)):.6g}, "
        f"or epsilon {float(cap.epsilon_left(spent)):.6g}"
    )


def _together(state: Ledger) -> str:
    """What was reserved or spent, as (epsilon, delta), rounded up."""
    try:
        epsilon = _UPWARDS.divide(*map(Decimal, _epsilon_together(state).as_integer_ratio()))
    except PrivacyError as problem:
        return str(problem)
    return (
        f"epsilon {epsilon.normalize():f} at delta {float(state.caps.everything.promised_delta):g}"
    )


def _epsilon_together(state: Ledger) -> Fraction:
    """By privacy-loss distributions, as if all prices had been fixed beforehand: a report."""
    held = (a.charge.loss for a in state.accounts.values() if a.state is not State.RELEASED)
    return reported_epsilon(held, state.caps.everything.promised_delta)


def _report(name: str, state: Ledger) -> dict[str, Any]:
    balance, cap = state.balance(), state.caps.everything
    try:
        together = float(_epsilon_together(state))
    except PrivacyError:  # a cap that was lowered below what the samplers add up to
        together = None
    return {
        "registry": name,
        "cap": {**loss_json(cap), "promised_delta": float(cap.promised_delta)},
        "spent": loss_json(balance.spent),
        "reserved": loss_json(balance.reserved),
        "left": {
            "epsilon": float(balance.epsilon_left),
            "rho": float(balance.rho_left),
            "delta": float(balance.delta_left),
        },
        "together": {"epsilon": together, "delta": float(cap.promised_delta)},
        "purposes": {
            purpose: {
                "spent": loss_json(balance.purposes.get(purpose, Spent())),
                "cap": loss_json(smaller),
            }
            for purpose, smaller in state.caps.purposes.items()
        },
        "charges": [
            {
                "study": account.key.study.hex(),
                "session": account.key.session.hex(),
                **loss_json(account.charge.loss),
                "purpose": account.charge.purpose,
                "state": account.state.value,
                "time": account.changed_at,
            }
            for account in state.accounts.values()
        ],
    }
