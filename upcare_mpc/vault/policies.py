"""What a record's policy says besides registry and month, and which changes of it only widen.

The policy of a group is ``and(epoch:<month>,site:<registry>,<terms>)``; terms may be empty. They
stay when the month changes, so they name a group over the months.

Only a change that widens may keep a data key: whoever could open the record before can still open
it. ``widens`` says yes only if every minimal set of attributes that satisfied the old terms
satisfies the new ones, which for policies without "not" is the same as every set. It looks at
attributes alone: that a key with ``disease:c50`` always has ``disease:c00-c97`` too is not known
here, and a change that widens only because of that is treated as a narrowing. So are terms with
more than 4096 minimal sets. Either way the error costs work, never confidentiality.
"""

import re
from collections.abc import Iterator
from itertools import combinations, islice, product
from typing import Final

from upcare_mpc.abe.policy import Gate, Node, Policy, parse
from upcare_mpc.errors import InputError

__all__ = ["check_epoch", "check_registry", "policy_of", "terms_of", "widens"]

_REGISTRY = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)
_EPOCH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])", re.ASCII)
_MOST_SETS: Final = 4096


def check_registry(registry: str) -> str:
    """Return the name of a registry if it is one that can be an attribute's value.

    Raises:
        InputError: It is not.
    """
    if not _REGISTRY.fullmatch(registry):
        raise InputError("registry: wanted a name like de-a")
    return registry


def check_epoch(epoch: str) -> str:
    """Return a month.

    Raises:
        InputError: It is not written like ``2026-11``.
    """
    if not _EPOCH.fullmatch(epoch):
        raise InputError("epoch: wanted a month like 2026-11")
    return epoch


def policy_of(terms: str, *, registry: str, epoch: str) -> Policy:
    """Return the policy that a group with these terms is sealed under.

    Raises:
        InputError: Terms, registry and month together are no policy.
    """
    ours = [f"epoch:{check_epoch(epoch)}", f"site:{check_registry(registry)}"]
    return parse(f"and({','.join([*ours, terms] if terms else ours)})")


def terms_of(policy: str, *, registry: str, epoch: str) -> str:
    """Return what a policy says besides registry and month: canonical text, or nothing.

    Raises:
        InputError: It is not a policy, or does not ask for the registry and the month, both, or
            names another month; nothing is sealed under such a one.
    """
    root = parse(policy).root
    children: tuple[Node, ...] = root.children if isinstance(root, Gate) else (root,)
    ours = {f"epoch:{check_epoch(epoch)}", f"site:{check_registry(registry)}"}
    if not isinstance(root, Gate) or root.word != "and" or not ours.issubset(children):
        raise InputError(f"a record is sealed under and(epoch:{epoch},site:{registry},...) alone")
    rest = [str(child) for child in children if child not in ours]
    terms = f"and({','.join(rest)})" if len(rest) > 1 else "".join(rest)
    if terms and any(row.startswith("epoch:") for row in parse(terms).rows):
        raise InputError("a record is sealed for one month, its policy names another")
    return terms


def widens(old: str, new: str) -> bool:
    """Say whether whoever satisfies the old terms is certain to satisfy the new ones.

    Cost: up to 4096 sets tried; a fraction of a second.
    """
    if old == new or not new:
        return True
    if not old:
        return False
    after = parse(new)
    sets = list(islice(_minimal_sets(parse(old).root), _MOST_SETS + 1))
    return len(sets) <= _MOST_SETS and all(map(after.holds_for, sets))


def _minimal_sets(node: Node) -> Iterator[frozenset[str]]:
    """Sets of attributes that satisfy a node; every minimal one is among them.

    Of a child, one set more than is ever tried is taken, so that too many stay too many.
    """
    if isinstance(node, str):
        yield frozenset({node})
        return
    ways = [list(islice(_minimal_sets(child), _MOST_SETS + 1)) for child in node.children]
    for chosen in combinations(ways, node.threshold):
        for parts in product(*chosen):
            yield frozenset().union(*parts)
