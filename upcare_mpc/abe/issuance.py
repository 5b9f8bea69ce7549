"""Keys in parts: each member's fragment of the key for one request, and the key they make.

    fragment of the member at place j, for the request of digest q and attributes S
        sk1 = g1^a(j) H(q)^b(j) H(*)^r,   sk2_u = H(u)^r for u in S,   sk3 = g2^r
        r = 1 + HMAC-SHA512(seed, statement "fragment" of q) mod (ORDER - 1)
    check     e(sk1, g2) = e(g1, A_j) e(H(q), B_j) e(H(*), sk3),   e(sk2_u, g2) = e(H(u), sk3)
    key       every component of t + 1 fragments, by Lagrange's coefficients for 0

a and b are the polynomials of ``committee``: a(0) is the master secret and b(0) = 0. In the key the
H(q) cancel, and what is left is ``scheme.keygen`` under the master secret, with r the same
combination of the members' r: uniform if one of them is.

Why H(q)^b(j). Without it nothing in a fragment says whom it is for: sk1 is linear in (a(j), r)
whatever r is, chosen jointly or derived from q, so fragments of t + 1 requests combine as well as
those of one, for the attributes that the requests share; t + 1 people, each approved by another
registry, would hold a key that no registry has approved of. With it, fragments combine only if H(q)
cancels, and b at any t places is independent of everything else: it takes t + 1 for ONE q.

What is claimed. A request is *issued* when t + 1 members, counting those that the adversary holds,
have let out a fragment for it. The adversary holds at most t members, chosen beforehand, and knows
the committee and all fragments that it asks for, for whatever requests. It learns nothing of what
is sealed under a policy that no issued request satisfies.
- For issued requests this is FABEO's own claim: from ONE key for S and the t shares, every
  fragment of the others can be computed (sk1 by interpolation in the exponent and a fresh r), so
  fragments tell no more than keys. Shown in ``tests/abe/test_threshold_simulated.py``.
- That those of other requests are void is proved in ``docs/abe.md`` in the generic group, for all
  committees, and computed on random cases (``tests/abe/test_threshold_proposition.py``). H(q)^b(j)
  is a signature share on q of Boldyreva's kind (PKC 2003), used as a blind.

r is derived and not drawn: a restored backup, a retry or a bad random source cannot use one r for
two requests, and the same request gives the same fragment. The seed is in the member's share, drawn
anew in each generation. Two requests under one r would be seen: their sk3 are equal, and the hash
of it is in every release that is logged (``release``).

A fragment is key material, t + 1 are the key: it goes to the requester alone, sealed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from hmac import digest
from typing import Final

from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.groups import ORDER, Group, RandomBytes
from upcare_mpc.abe.keys import AttributeKey, request_point
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.abe.request import Request
from upcare_mpc.abe.scheme import keygen, verify_key
from upcare_mpc.abe.statements import statement
from upcare_mpc.errors import ProtocolError
from upcare_mpc.study.packed import pack, unpack

__all__ = ["MAX_FRAGMENT_BYTES", "Fragment", "combine", "issue", "verify_fragment"]

MAX_FRAGMENT_BYTES: Final = 20 << 10
_VERSION = b"UAF1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fragment:
    """A member's part of a key. Secret of the requester.

    Bytes: ``UAF1`` and the fields author, request, bytes of the key.

    Attributes:
        author: The member.
        request: Digest of the request.
        part: Its components; sk1 carries H(q)^b(j) besides.
    """

    author: str
    request: bytes
    part: AttributeKey

    def __bytes__(self) -> bytes:
        return pack(_VERSION, self.author.encode(), self.request, bytes(self.part))

    @classmethod
    def from_bytes(cls, group: Group, encoded: bytes) -> "Fragment":
        """Decode a fragment. Whether it is good, ``verify_fragment`` says.

        Raises:
            ProtocolError: The bytes are anything but a fragment in version 1.
        """
        try:
            author, request, part = unpack(_VERSION, encoded, most=MAX_FRAGMENT_BYTES)
            return cls(
                author=author.decode("ascii"),
                request=request,
                part=AttributeKey.from_bytes(group, part),
            )
        except (ProtocolError, ValueError):
            raise ProtocolError("these are not the bytes of a fragment, version 1") from None

    @property
    def randomness(self) -> bytes:
        """SHA-256 over sk3: equal in two fragments just if they have one r. Public; 32 bytes."""
        return sha256(statement("randomness", bytes(self.part.sk3))).digest()


def issue(share: Share, committee: Committee, request: Request) -> Fragment:
    """Make a member's fragment. To let one out is the business of ``release``.

    Args:
        share: The member's. Secret.
        committee: Of which it is a share.
        request: For this committee.

    Cost: n + 3 multiplications in G1 for n attributes, one in G2.
    """
    assert request.committee == share.committee == committee.digest
    group = committee.group
    derived = digest(share.seed, statement("fragment", request.digest), "sha512")
    r = 1 + int.from_bytes(derived) % (ORDER - 1)
    part = keygen(group, share.master, request.attributes, r)
    blind = request_point(group, request.digest) * share.binding
    return Fragment(
        author=share.member, request=request.digest, part=replace(part, sk1=part.sk1 + blind)
    )


def verify_fragment(
    committee: Committee, request: Request, fragment: Fragment, random: RandomBytes
) -> None:
    """Check a fragment against its author's verification keys; anybody who holds it can.

    A wrong one passes with probability 2^-128.

    Args:
        committee: That the request is for.
        request: That the fragment is to be for.
        fragment: From anybody.
        random: For weights that the author must not foresee.

    Raises:
        ProtocolError: It is not the author's fragment for this request; the text names the author.

    Cost: 4 pairings and 2 n short multiplications in G1 for n attributes.
    """
    element, binding = committee.verification_keys(fragment.author)
    if fragment.request != request.digest or fragment.part.attributes != request.attributes:
        raise ProtocolError(f"the fragment of {fragment.author} is for another request")
    blind = request_point(committee.group, request.digest), binding
    try:
        verify_key(committee.group, fragment.part, element, random, blind)
    except ProtocolError:
        raise ProtocolError(
            f"the fragment of {fragment.author} does not fit its verification keys"
        ) from None


def combine(committee: Committee, request: Request, fragments: Sequence[Fragment]) -> AttributeKey:
    """Make the key from fragments that ``verify_fragment`` accepts.

    Args:
        committee: That the request is for.
        request: That all fragments are for.
        fragments: t + 1 or more, by different authors; t + 1 of them are used.

    Returns:
        The key, as ``scheme.keygen`` makes it for the network's public key. Secret.

    Raises:
        ProtocolError: A fragment is for another request or by nobody in the committee, two are by
            one author, or there are too few.

    Cost: t + 1 multiplications in G1 for each of n + 1 components, and in G2 for one.
    """
    by_place: dict[int, AttributeKey] = {}
    for fragment in fragments:
        place = committee.place(fragment.author)
        if fragment.request != request.digest or fragment.part.attributes != request.attributes:
            raise ProtocolError(f"the fragment of {fragment.author} is for another request")
        if place in by_place:
            raise ProtocolError(f"two fragments are by {fragment.author}")
        by_place[place] = fragment.part
    wanted = committee.threshold + 1
    if len(by_place) < wanted:
        raise ProtocolError(f"a key takes {wanted} fragments, got {len(by_place)}")
    places = sorted(by_place)[:wanted]
    parts = [by_place[place] for place in places]
    weights = lagrange(places)
    group = committee.group
    columns = zip(*(part.sk2 for part in parts), strict=True)
    return AttributeKey(
        attributes=request.attributes,
        sk1=group.combine([part.sk1 for part in parts], weights),
        sk2=tuple(group.combine(column, weights) for column in columns),
        sk3=group.combine([part.sk3 for part in parts], weights),
    )
