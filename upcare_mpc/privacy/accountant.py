"""What a population may still be asked: a fully adaptive filter on both kinds of privacy loss.

*Fully adaptive*: each study, its mechanism and its price are chosen by people who have seen all
earlier answers. A *filter* decides before each release whether it may still happen, such that
whatever happens stays within the cap (Rogers, Roth, Ullman and Vadhan, NeurIPS 2016).

A release is charged as a ``Loss``:

* discrete Laplace: ``(epsilon, delta)``; with the same delta it has ``rho = epsilon^2 / 2`` (Bun
  and Steinke, TCC 2016, proposition 1.4);
* discrete Gaussian: ``(rho, delta)``, delta-approximate rho-zCDP; no epsilon.

**The rule.** A cap of ``(epsilon, delta)`` is split once and for all into ``delta/2`` for what the
samplers add up to and ``delta/2`` for the tail of the concentrated loss. The latter gives
``rho_cap``, the largest rho whose conversion at ``epsilon`` is within it (OpenDP's map, see
``concentrated``; rounded down). A release may happen if afterwards

    sum delta <= delta/2   and   (sum epsilon <= epsilon, all Laplace,  or  sum rho <= rho_cap).

**Claim.** Everything released together is ``(epsilon, delta)``-private. Proof, for neighbouring
data sets. Given what was released before, each release is a mixture on both of them: with the
same probability ``1 - delta_j`` it is *good*, and the good parts are within ``epsilon_j`` (Kairouz,
Oh and Viswanath, ICML 2015) or within ``alpha rho_j`` at every order (``gaussian``). Let G
be "all good": ``P(not G) <= sum delta <= delta/2``. Split a set of outcomes into those that end
within the first alternative, S1, and the rest, S2, which end within the second. Sums only grow,
so an outcome in S1 was within the first alternative all the way: it comes from the process
that the first filter alone would have let run, and ``P(S1, G) <= e^epsilon P'(S1, G)`` (Rogers et
al.). Likewise S2 comes from the process that the second filter alone lets run; its good part is
``rho_cap``-zCDP (Feldman and Zrnic, NeurIPS 2021, at every order; with the deltas Whitehouse,
Ramdas, Rogers and Wu, ICML 2023), so ``P(S2, G) <= e^epsilon P'(S2, G) + delta/2``. Add up. So
offering BOTH alternatives costs nothing, and the deltas are counted once.

A cap stated as ``(rho, delta)`` has the second alternative alone, without conversion: everything
released together is delta-approximate rho-zCDP.

Pure; fractions throughout, no float; ``rho_cap``, and the square root that says how much epsilon
is left under a rho, are rounded down. ``ledger`` says what counts as spent, and when.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from upcare_mpc.errors import BudgetExceeded, PrivacyError
from upcare_mpc.privacy.concentrated import epsilon_at, largest_rho

__all__ = ["Cap", "Loss", "Spent"]

_ROOT_UNITS = 1 << 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What one release costs, in full; built by ``pure`` or ``concentrated``.

    Attributes:
        epsilon: Pure loss; none for a Gaussian release, whose loss has no bound.
        rho: Zero-concentrated loss.
        delta: Next to either.
    """

    epsilon: Fraction | None
    rho: Fraction
    delta: Fraction

    def __post_init__(self) -> None:
        """Check the ranges; a release that costs nothing is a mistake."""
        if self.rho <= 0 or not 0 <= self.delta < 1:
            raise PrivacyError(
                f"a release costs rho > 0 and delta in [0, 1), "
                f"got {float(self.rho):g} and {float(self.delta):g}"
            )

    @classmethod
    def pure(cls, epsilon: Fraction, delta: Fraction) -> "Loss":
        """Cost of a release that is ``(epsilon, delta)``-private by the mixture above."""
        if epsilon <= 0:
            raise PrivacyError(f"a release costs epsilon > 0, got {float(epsilon):g}")
        return cls(epsilon=epsilon, rho=epsilon**2 / 2, delta=delta)

    @classmethod
    def concentrated(cls, rho: Fraction, delta: Fraction) -> "Loss":
        """Cost of a release that is delta-approximate rho-zCDP."""
        return cls(epsilon=None, rho=rho, delta=delta)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Sums over all releases so far.

    Attributes:
        epsilon: None once a Gaussian release is among them.
        rho: Sum.
        delta: Sum.
    """

    epsilon: Fraction | None = Fraction(0)
    rho: Fraction = Fraction(0)
    delta: Fraction = Fraction(0)

    @classmethod
    def on(cls, losses: Iterable[Loss]) -> "Spent":
        """Add up."""
        spent = cls()
        for loss in losses:
            spent = spent.plus(loss)
        return spent

    def plus(self, loss: Loss) -> "Spent":
        """Return the sums after one more release."""
        pure = None if self.epsilon is None or loss.epsilon is None else self.epsilon + loss.epsilon
        return Spent(
            epsilon=pure,
            rho=self.rho + loss.rho,
            delta=self.delta + loss.delta,
        )

    def epsilon_at(self, delta: Fraction) -> Fraction:
        """State what was released as (epsilon, delta), for showing; rounded up.

        The better of the two sums. It describes a fixed set of releases: a promise for studies
        still to be chosen is what ``Cap`` gives.

        Raises:
            PrivacyError: The samplers' own deltas alone come to ``delta``.
        """
        if self.delta >= delta:
            raise PrivacyError(
                f"these releases have delta {float(self.delta):.3g} by themselves; "
                f"wanted less than {float(delta):.3g}"
            )
        concentrated = epsilon_at(self.rho, delta - self.delta)
        return concentrated if self.epsilon is None else min(self.epsilon, concentrated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """The most that may ever be charged; built by ``of_epsilon`` or ``of_rho``.

    Attributes:
        epsilon: Cap on the sum of epsilons while all releases are pure; none without that
            alternative.
        rho: Cap on the sum of rhos; 0 if delta leaves no room for a tail.
        delta: Cap on the sum of deltas of the samplers.
        promised_delta: Delta of the promise, as the cap was stated; no less than ``delta``.
    """

    epsilon: Fraction | None
    rho: Fraction
    delta: Fraction
    promised_delta: Fraction

    @classmethod
    def of_epsilon(cls, epsilon: Fraction, delta: Fraction) -> "Cap":
        """Promise (epsilon, delta) for everything together."""
        if epsilon <= 0 or not 0 <= delta < 1:
            raise PrivacyError(
                f"a cap has epsilon > 0 and delta in [0, 1), "
                f"got {float(epsilon):g} and {float(delta):g}"
            )
        rho = largest_rho(epsilon, delta / 2)
        return cls(epsilon=epsilon, rho=rho, delta=delta / 2, promised_delta=delta)

    @classmethod
    def of_rho(cls, rho: Fraction, delta: Fraction) -> "Cap":
        """Promise delta-approximate rho-zCDP for everything together."""
        if rho <= 0 or not 0 <= delta < 1:
            raise PrivacyError(
                f"a cap has rho > 0 and delta in [0, 1), got {float(rho):g} and {float(delta):g}"
            )
        return cls(epsilon=None, rho=rho, delta=delta, promised_delta=delta)

    def rho_left(self, spent: Spent) -> Fraction:
        """Most rho that one more Gaussian release may cost; 0 if the cap is passed."""
        return max(Fraction(0), self.rho - spent.rho)

    def epsilon_left(self, spent: Spent) -> Fraction:
        """Most epsilon that one more Laplace release may cost; the second alternative rounded down.

        Not cap less sum: where many small releases were made, the second alternative leaves more.
        """
        square = 2 * self.rho_left(spent) * _ROOT_UNITS**2
        by_rho = Fraction(isqrt(int(square)), _ROOT_UNITS)
        if self.epsilon is None or spent.epsilon is None:
            return by_rho
        return max(by_rho, self.epsilon - spent.epsilon)

    def delta_left(self, spent: Spent) -> Fraction:
        """Most delta that the sampler of one more release may have; 0 if the cap is passed."""
        return max(Fraction(0), self.delta - spent.delta)

    def check(self, spent: Spent, asked: Loss, *, account: str = "all studies") -> Spent:
        """Return the sums after ``asked``, if it may happen.

        Args:
            spent: Sums so far.
            asked: Cost of one more release.
            account: What this is the cap of, for the error text.

        Raises:
            BudgetExceeded: Neither alternative has room for it, or the samplers' deltas would
                come to too much.
        """
        after = spent.plus(asked)
        if after.delta > self.delta:
            left = self.delta_left(spent)
            raise BudgetExceeded(account, measure="delta", asked=asked.delta, left=left)
        within_epsilon = (
            self.epsilon is not None and after.epsilon is not None and after.epsilon <= self.epsilon
        )
        if within_epsilon or after.rho <= self.rho:
            return after
        if asked.epsilon is not None:
            left = self.epsilon_left(spent)
            raise BudgetExceeded(account, measure="epsilon", asked=asked.epsilon, left=left)
        raise BudgetExceeded(account, measure="rho", asked=asked.rho, left=self.rho_left(spent))
