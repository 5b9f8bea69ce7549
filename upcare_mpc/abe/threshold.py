"""The rules of a ceremony: joint key generation, refresh, and handing over to another committee.

Each dealer deals once (``dealing``). Members report which dealings they hold, and give any
sub-share that does not fit as evidence: the dealer's signature is on it. What follows is a function
of the public transcript, the same for every participant and every auditor:

    disqualified   a dealer that signed what is no dealing, or not one of its share, or a sub-share
                   that does not fit its dealing
    master secret  sum over the other dealers of w f(0),  and the member at place j holds the sum
                   of w f(j), likewise of h;  w = 1 to make a key, Lagrange's coefficients of the
                   dealers' old places to hand one over

so a committee that hands over keeps the public key, and its old shares lie on a polynomial that has
nothing in common with the new one but its value at 0. A refresh is a handing over to itself.
Joint generation is that of Pedersen (EUROCRYPT 1991), handing over that of Desmedt and Jajodia
(1997). A complaint is evidence and needs no answer: where it is a word alone (Gennaro, Jarecki,
Krawczyk and Rabin, J. Cryptology 2007), an honest dealer answers by making the sub-share public,
and whoever can suppress messages on their way to honest members collects them.

What is claimed, against an adversary that chooses beforehand t members to hold (and, when a key is
handed over, t of the old ones; a registry in both counts in both), deviates as it likes and carries
all messages: it learns nothing of the master secret but the public key, which it can influence.
That does not help it (below). No two honest participants use different outcomes. It can stop a
ceremony, by silence: who lacks a message names its sender, but others cannot tell a dealer that
sent no sub-share from a member that says so falsely.

Why a public key that can be influenced is enough: a dealer that waits for the others' commitments
knows of the sum only the part of its own, d, since honest members, t + 1 at least, hold sub-shares
that determine it. An attack on the key g2^(a + d) is one on the uniform key g2^a of the honest:
multiply every attribute key by g1^d, and every hidden element by e(g1, ct1)^d. For the scheme the
reduction is tight (*rekeyability*: Gurkan and others, EUROCRYPT 2021). So the commitment phase that
a uniform key needs would buy nothing here (``tests/attacks/test_threshold_rushing_dealer.py``).

What is not claimed: that anybody erases an old share. t + 1 old ones open everything for ever.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import digest
from itertools import count

from upcare_mpc.abe.ceremony import MAX_SIGNED_BYTES, Ceremony, Kind, Signed, Transcript
from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.dealing import Dealing, SubShare, deal
from upcare_mpc.abe.groups import G2, ORDER, RandomBytes
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.abe.statements import scalar_bytes, statement
from upcare_mpc.errors import ProtocolError, SessionError
from upcare_mpc.study.packed import pack, unpack

__all__ = ["Outcome", "conclude", "deal_in", "report"]

_REPORT = b"UAR1"
_CONFIRMATION = b"UAO1"
_SEED_BYTES = 32


def deal_in(
    ceremony: Ceremony, dealer: str, share: Share | None, random: RandomBytes
) -> tuple[bytes, dict[str, bytes]]:
    """Deal in a ceremony.

    Args:
        ceremony: As everybody agreed on it.
        dealer: Oneself.
        share: One's share of ``ceremony.previous``; None to make a key. Secret.
        random: Called once, for 32 bytes. Drawn again in another ceremony, by a machine that was
            restored, they give other polynomials and another proof: the scalars are
            1 + HMAC-SHA512(bytes, statement "draw" of ceremony, dealer, share, i) mod (ORDER - 1).

    Returns:
        Body of the dealing, to be signed and told to everybody; and by member the body of its
        sub-share, to be signed, sealed and sent to it alone. The latter are secret: keep them until
        they have arrived, then erase them.

    Raises:
        ProtocolError: The share is not the dealer's share of the committee that hands over.
    """
    if share is not None and ceremony.previous is not None:
        share.check(ceremony.previous)
    if (share is None) != (ceremony.previous is None) or (share and share.member != dealer):
        raise ProtocolError(f"{dealer} deals its share if and only if a committee hands over")
    dealing, sub_shares = deal(
        ceremony.group,
        ceremony=ceremony.digest,
        dealer=dealer,
        members=len(ceremony.members),
        threshold=ceremony.threshold,
        constant=None if share is None else share.master,
        coin=_coin(ceremony, dealer, share, random(_SEED_BYTES)),
    )
    return bytes(dealing), dict(zip(ceremony.members, map(bytes, sub_shares), strict=True))


def report(transcript: Transcript, member: str, sub_shares: Mapping[str, Signed]) -> bytes:
    """Say which dealings a member holds, and which sub-shares do not fit.

    Args:
        transcript: With the dealings.
        member: Oneself.
        sub_shares: By dealer, what came for oneself and passed ``Transcript.check``. Secret: those
            that fit stay so.

    Returns:
        Body of the report, to be signed: ``UAR1`` and, as fields, the digests of the dealings, by
        dealer, then the messages that do not fit.

    Raises:
        SessionError: A dealing or a sub-share has not come.
    """
    ceremony = transcript.ceremony
    evidence = []
    for dealer in ceremony.dealers:
        dealing = _dealing(transcript, dealer)
        message = sub_shares.get(dealer)
        if message is None:
            raise SessionError(f"the ceremony has no sub-share of {dealer} for {member}")
        if dealing and not _fits(ceremony, dealing, message):
            evidence.append(bytes(message))
    return pack(_REPORT, b"".join(_dealing_digests(transcript)), *evidence)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What a transcript comes to. Public. Use nothing of it before ``check_confirmed``.

    Attributes:
        ceremony: Whose transcript.
        committee: The committee to be.
        disqualified: Dealers that are proved to have deviated, and how. As members they stay.
        digest: SHA-256 over dealings and reports.
    """

    ceremony: Ceremony
    committee: Committee
    disqualified: Mapping[str, str]
    digest: bytes

    @property
    def confirmation(self) -> bytes:
        """Body of a confirmation: ``UAO1`` and the digests of transcript and committee."""
        return pack(_CONFIRMATION, self.digest, self.committee.digest)

    def check_confirmed(self, transcript: Transcript) -> None:
        """Check that everybody but the disqualified has signed this outcome.

        The honest are never disqualified, so no two of them use different outcomes. Confirmations
        may be passed on: who lacks some keeps its sub-shares and can use the outcome later.

        Raises:
            SessionError: A confirmation has not come.
            ProtocolError: A participant confirms something else. Then somebody holds other
                messages: pass all on to all, and ``Transcript.add`` names who signed two.
        """
        for name in self.ceremony.participants:
            if name not in self.disqualified:
                confirmed = transcript.body(Kind.CONFIRMATION, name)
                if confirmed != self.confirmation:
                    raise ProtocolError(f"{name} confirms another outcome of the ceremony")

    def share(self, member: str, sub_shares: Mapping[str, Signed], random: RandomBytes) -> Share:
        """Add up one's sub-shares.

        Args:
            member: Oneself.
            sub_shares: As given to ``report``. Secret.
            random: For the seed of one's fragments.

        Returns:
            The share. Secret. Once the outcome is confirmed, and not before, erase the sub-shares
            and the share of the committee before.

        Raises:
            ProtocolError: They are not what they were when ``report`` looked at them.
        """
        master = binding = 0
        for dealer, weight in _weights(self.ceremony, self.disqualified).items():
            sub_share = SubShare.from_bytes(sub_shares[dealer].body)
            master += weight * sub_share.master
            binding += weight * sub_share.binding
        share = Share(
            committee=self.committee.digest,
            member=member,
            master=master % ORDER,
            binding=binding % ORDER,
            seed=random(_SEED_BYTES),
        )
        share.check(self.committee)
        return share


def conclude(transcript: Transcript) -> Outcome:
    """Work out what a transcript comes to.

    Args:
        transcript: With all dealings and reports.

    Raises:
        SessionError: One of these has not come, or too few dealers are left; the text says whose.
        ProtocolError: A member signed a report that cannot be one, or holds other dealings; the
            text names it. The ceremony ends.

    Cost: for each dealer a check of 2 t + 1 points and two multiplications in G2.
    """
    ceremony = transcript.ceremony
    dealings = {dealer: _dealing(transcript, dealer) for dealer in ceremony.dealers}
    disqualified = {
        dealer: "signed what is no dealing for this ceremony"
        for dealer, dealing in dealings.items()
        if dealing is None
    }
    for member in ceremony.members:
        for shown in _evidence(transcript, member, dealings):
            disqualified.setdefault(
                shown.sender, f"signed a sub-share for {shown.recipient} that does not fit"
            )
    weights = _weights(ceremony, disqualified)
    enough = ceremony.previous.threshold if ceremony.previous else ceremony.threshold
    if len(weights) <= enough:
        raise SessionError(
            f"the ceremony needs {enough + 1} dealers, {len(weights)} are left without "
            + ", ".join(disqualified)
        )
    parts = [dealing for dealer, dealing in dealings.items() if dealing and dealer in weights]
    return Outcome(
        ceremony=ceremony,
        committee=_committee(ceremony, parts, list(weights.values())),
        disqualified=disqualified,
        digest=_transcript_digest(transcript),
    )


def _coin(ceremony: Ceremony, dealer: str, share: Share | None, drawn: bytes) -> Callable[[], int]:
    held = b"" if share is None else scalar_bytes(share.master)
    numbers = count(1)

    def coin() -> int:
        number = next(numbers).to_bytes(2)
        message = statement("draw", ceremony.digest, dealer.encode(), held, number)
        return 1 + int.from_bytes(digest(drawn, message, "sha512")) % (ORDER - 1)

    return coin


def _dealing(transcript: Transcript, dealer: str) -> Dealing | None:
    """Decode and check a dealing; None if its dealer has signed anything else."""
    ceremony = transcript.ceremony
    body = transcript.body(Kind.DEALING, dealer)
    try:
        dealing = Dealing.from_bytes(
            ceremony.group,
            body,
            threshold=ceremony.threshold,
            ceremony=ceremony.digest,
            dealer=dealer,
        )
    except ProtocolError:
        return None
    constant = ceremony.constant(dealer)
    return dealing if constant is None or dealing.commitments[0] == constant else None


def _dealing_digests(transcript: Transcript) -> list[bytes]:
    dealers = transcript.ceremony.dealers
    return [sha256(transcript.body(Kind.DEALING, dealer)).digest() for dealer in dealers]


def _fits(ceremony: Ceremony, dealing: Dealing, message: Signed) -> bool:
    try:
        sub_share = SubShare.from_bytes(message.body)
    except ProtocolError:
        return False
    place = 1 + ceremony.members.index(message.recipient)
    return dealing.fits(ceremony.group, place, sub_share)


def _evidence(
    transcript: Transcript, member: str, dealings: Mapping[str, Dealing | None]
) -> list[Signed]:
    """Return the sub-shares that a member's report shows; none of them fits."""
    ceremony = transcript.ceremony
    body = transcript.body(Kind.REPORT, member)
    refusal = ProtocolError(f"{member} signed a report that does not hold")
    try:
        held, *evidence = unpack(_REPORT, body, most=MAX_SIGNED_BYTES)
        messages = [Signed.from_bytes(each) for each in evidence]
    except (ProtocolError, ValueError):
        raise refusal from None
    # First: what fits no dealing that the member was told may fit the one told here.
    if held != b"".join(_dealing_digests(transcript)):
        raise ProtocolError(f"{member} holds other dealings than this transcript")
    for message in messages:
        try:
            transcript.check(message)
        except ProtocolError:
            raise refusal from None
        if message.kind is not Kind.SUB_SHARE:
            raise refusal
        dealing = dealings[message.sender]
        if dealing and _fits(ceremony, dealing, message):
            raise refusal
    return messages


def _weights(ceremony: Ceremony, disqualified: Mapping[str, str]) -> dict[str, int]:
    """Return the weight of each dealer that is left."""
    left = [dealer for dealer in ceremony.dealers if dealer not in disqualified]
    if ceremony.previous is None:
        return dict.fromkeys(left, 1)
    weights = lagrange([ceremony.previous.place(dealer) for dealer in left])
    return dict(zip(left, weights, strict=True))


def _committee(ceremony: Ceremony, parts: list[Dealing], weights: list[int]) -> Committee:
    group = ceremony.group

    def total(*column: G2) -> G2:
        return group.combine(column, weights)

    committee = Committee(
        group=group,
        network=ceremony.network,
        generation=ceremony.generation,
        members=ceremony.members,
        threshold=ceremony.threshold,
        ceremony=ceremony.digest,
        commitments=tuple(map(total, *(part.commitments for part in parts))),
        bindings=tuple(map(total, *(part.bindings for part in parts))),
    )
    previous = ceremony.previous
    assert previous is None or committee.commitments[0] == previous.commitments[0]
    return Committee.from_bytes(group, bytes(committee))  # refuses a sum that is the identity


def _transcript_digest(transcript: Transcript) -> bytes:
    ceremony = transcript.ceremony
    reports = (transcript.body(Kind.REPORT, member) for member in ceremony.members)
    digests = *_dealing_digests(transcript), *(sha256(body).digest() for body in reports)
    return sha256(statement("transcript", ceremony.digest, *digests)).digest()
