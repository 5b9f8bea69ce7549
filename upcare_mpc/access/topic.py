"""The topic of one request, read: who agrees, who does not, which fragments and fetches there are.

What does not read, or is not signed by whom it names, is passed over and told apart; nobody can
stop a request by leaving rubbish on its topic. Of several papers of one kind by one registry the
first counts.

A ``fetch`` is the platform's word alone: JSON with ``registry`` and ``edition``, its number. It can
be left out, or made up.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from upcare_mpc.abe.committee import Committee
from upcare_mpc.abe.release import Seen
from upcare_mpc.abe.request import Approval, Request
from upcare_mpc.access.papers import Certify, PaperLike, Refusal, SealedFragment, SignedApproval
from upcare_mpc.consent.json_text import read_json
from upcare_mpc.errors import InputError, ProtocolError

__all__ = ["Fetch", "Topic", "asked", "read_topic"]

_MAX_FETCH_BYTES: Final = 1024
_PLATFORM: Final = "platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """The platform's word that sealed records were handed out for the request.

    Attributes:
        registry: Whose.
        edition: Number of the edition.
    """

    registry: str
    edition: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What is on the topic of one request. Public.

    Attributes:
        request: Digest of it.
        approvals: By registry; each is signed by it.
        refusals: By registry; likewise.
        fragments: By author; likewise. Whether what is inside is good, the requester sees.
        fetches: In the order in which they came, each once.
        passed_over: One line for each paper that is not what it should be.
    """

    request: bytes
    approvals: dict[str, SignedApproval]
    refusals: dict[str, Refusal]
    fragments: dict[str, SealedFragment]
    fetches: tuple[Fetch, ...]
    passed_over: tuple[str, ...]

    def approvals_for(self, committee: Committee, request: Request) -> list[Approval]:
        """Return the approvals of those that are asked."""
        names = asked(committee, request)
        return [paper.approval for name, paper in self.approvals.items() if name in names]

    def issued(self, committee: Committee) -> tuple[str, ...]:
        """Return the members that have let out a fragment if they are t + 1; else nobody."""
        authors = tuple(sorted(self.fragments.keys() & set(committee.members)))
        return authors if len(authors) > committee.threshold else ()

    def seen(self) -> list[Seen]:
        """Return the releases that fragments tell of."""
        return [
            Seen(registry=author, request=self.request, randomness=fragment.randomness)
            for author, fragment in self.fragments.items()
        ]


def asked(committee: Committee, request: Request) -> frozenset[str]:
    """Return whose approval counts: members, and registries whose records the key is for."""
    return frozenset({*committee.members, *request.sites})


def read_topic(papers: Iterable[PaperLike], *, request: bytes, certify: Certify) -> Topic:
    """Read a topic.

    Args:
        papers: From the board; anything at all.
        request: Digest of the request that it should be about.
        certify: Checks a registry's certificate and signature.
    """
    approvals: dict[str, SignedApproval] = {}
    refusals: dict[str, Refusal] = {}
    fragments: dict[str, SealedFragment] = {}
    fetches: dict[Fetch, None] = {}
    passed_over = []
    for paper in papers:
        content = paper.content
        try:
            match paper.kind:
                case "approval":
                    yes = SignedApproval.from_bytes(content, request=request, certify=certify)
                    approvals.setdefault(yes.registry, yes)
                case "refusal":
                    no = Refusal.from_bytes(content, request=request, certify=certify)
                    refusals.setdefault(no.registry, no)
                case "fragment":
                    part = SealedFragment.from_bytes(content, request=request, certify=certify)
                    fragments.setdefault(part.author, part)
                case "fetch":
                    fetches.setdefault(_fetch(paper))
        except ProtocolError as error:
            passed_over.append(f"{paper.kind} from {paper.sender[:80]!a} is passed over: {error}")
    return Topic(
        request=request,
        approvals=approvals,
        refusals=refusals,
        fragments=fragments,
        fetches=tuple(fetches),
        passed_over=tuple(passed_over),
    )


def _fetch(paper: PaperLike) -> Fetch:
    try:
        content = read_json(paper.content, name="fetch", max_bytes=_MAX_FETCH_BYTES)
    except InputError:
        raise ProtocolError("not the platform's word on a fetch") from None
    registry, edition = content.get("registry"), content.get("edition")
    if (
        paper.sender != _PLATFORM
        or not isinstance(registry, str)
        or type(edition) is not int
        or content.keys() != {"registry", "edition"}
    ):
        raise ProtocolError("not the platform's word on a fetch")
    return Fetch(registry=registry, edition=edition)
