"""What codes and attributes of a request mean, in words for people who decide on it.

Short texts of UPCARE's own, in English; no translation of DUO.
"""

from collections.abc import Iterable
from typing import Final

from upcare_mpc.abe.policy import Gate, Node, Policy
from upcare_mpc.consent import diseases as icd
from upcare_mpc.consent import duo

__all__ = ["conditions", "disease_words", "purpose_words"]

_PURPOSES: Final = {
    duo.NRES: "any use",
    duo.GRU: "research of any kind",
    duo.HMB: "research on health, medicine or biology",
    duo.DS: "research on one disease or some",
    duo.POA: "research on population origins or ancestry",
    duo.METHODS: "development of methods",
    duo.GENETIC: "research on genes",
    "DUO:0000032": "research on populations",
    "DUO:0000033": "research on ancestry",
    "DUO:0000034": "research on an age group",
    "DUO:0000035": "research on one sex",
    "DUO:0000036": "use as controls",
    "DUO:0000037": "biomedical research",
    "DUO:0000039": "development of drugs",
    "DUO:0000040": "research on one disease",
}
_ATTRIBUTES: Final = {
    "use:nres": "any use",
    "use:gru": "research of any kind",
    "use:hmb": "research on health, medicine or biology",
    "use:ds": "research on the diseases named",
    "use:poa": "research on population origins or ancestry",
    "use:no-methods": "no development of methods",
    "use:no-ancestry": "no research on populations, origins or ancestry",
    "use:genetic": "research on genes only",
    "use:non-commercial": "no commercial use",
    "use:pub": "results are published",
    "use:col": "together with who collected the data",
    "use:irb": "with an ethics approval",
    "use:mor": "no publication before the day agreed",
    "use:rtn": "derived data are returned",
    "requester:not-for-profit": "by organisations that do not work for profit",
}


def purpose_words(purposes: Iterable[str]) -> list[str]:
    """Say each purpose, with its code behind it."""
    return [f"{_PURPOSES[code]} ({code})" for code in sorted(purposes)]


def disease_words(diseases: frozenset[str]) -> str:
    """Say what a project is about."""
    if diseases == icd.NEOPLASMS:
        return "all tumours"
    return ", ".join(icd.ranges(diseases))


def conditions(policy: Policy) -> list[str]:
    """Say what a policy asks for besides registry and month, one condition a line; sorted."""
    root = policy.root
    nodes = root.children if isinstance(root, Gate) and root.word == "and" else (root,)
    said = [_said(node) for node in nodes if not _of_place(node)]
    return sorted(said)


def _of_place(node: Node) -> bool:
    return isinstance(node, str) and node.startswith(("site:", "epoch:"))


def _said(node: Node) -> str:
    if isinstance(node, Gate):
        inner = [_said(child) for child in node.children]
        joint = {"or": " or ", "and": " and "}.get(node.word, "; ")
        first = f"{node.threshold} of: " if node.word == "atleast" else ""
        return first + joint.join(inner)
    namespace, value = node.split(":", 1)
    match namespace:
        case "disease":
            return f"diseases within {value.upper()}"
        case "region":
            return f"used in {value.upper()}"
        case _:
            return _ATTRIBUTES.get(node, node)
