"""Reading what a survival study asks for, and refusing what makes no sense together."""

from typing import Final

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.axes import Axis, axes_of
from upcare_mpc.kinds.grid import Grid
from upcare_mpc.kinds.options import Options
from upcare_mpc.kinds.survival.icss import ICSS, age_axis
from upcare_mpc.kinds.survival.kind import UNKNOWN_CAUSE, Survival
from upcare_mpc.kinds.survival.period import Period
from upcare_mpc.study.expression import Choose, Expression, Truth
from upcare_mpc.study.spec import Arm, Study

__all__ = ["read"]

MAX_ARMS: Final = 20
MAX_CAUSES: Final = 6
MAX_DAYS: Final = 60_000
MAX_INTERVALS: Final = {"relative": 60, "period": 60, "competing": 400}
_DCO: Final = ("exclude", "include", "count")
_KNOWN: Final = (
    "interval_days",
    "intervals",
    "landmark_days",
    "arms",
    "strata",
    "restricted_mean_days",
    "dco",
    "relative",
    "expected_at_most",
    "age_standard",
    "period",
    "competing",
)


def read(study: Study) -> Survival:
    """Read the options of a study.

    Raises:
        StudyError: One is wrong, or does not go with another.
    """
    if study.release.suppress_below is not None:
        raise StudyError(
            "release.suppress_below: wanted none with kind survival, whose life table "
            "needs every cell"
        )
    options = Options(study.options, "survival")
    options.only(_KNOWN)
    _together(options)
    grid = _grid(options)
    for key, most in MAX_INTERVALS.items():
        if key in options and grid.intervals > most:
            raise StudyError(
                f"survival.{key}: wanted at most {most} intervals, got {grid.intervals}"
            )
    dco = _one_of(options, "dco", _DCO, default="exclude")
    if dco == "count" and "period" in options:
        raise StudyError('survival.dco: wanted "exclude" or "include" with period, got "count"')
    standard = None
    if "age_standard" in options:
        standard = _one_of(options, "age_standard", tuple(ICSS))
    survival = Survival(
        where=study.where,
        arms=_arms(options),
        grid=grid,
        strata=_strata(options) if standard is None else (age_axis(),),
        restricted_mean_days=_restricted_mean(options, grid),
        dco=dco,
        expected_at_most=_expected_at_most(options, grid),
        age_standard=standard,
        period=_period(options, grid),
        causes=_causes(options),
        overlap=study.overlap or 1,
    )
    survival.layout()  # refuses a table that is too large
    return survival


def _together(options: Options) -> None:
    """Refuse options that answer different questions."""
    for key, other, why in (
        ("competing", "relative", "both take other causes of death into account, each in its way"),
        ("competing", "period", "cumulative incidence follows patients from diagnosis"),
        ("competing", "age_standard", "cumulative incidence is not age-standardised"),
        ("age_standard", "strata", "the age groups of the standard are the strata"),
        ("period", "landmark_days", "in a period window patients enter after diagnosis already"),
    ):
        if key in options and other in options:
            raise StudyError(f"survival: wanted {key} or {other}, got both; {why}")
    if "expected_at_most" in options and "relative" not in options:
        raise StudyError("survival.expected_at_most: wanted it with relative = true only")


def _grid(options: Options) -> Grid:
    grid = Grid(
        interval_days=options.integer("interval_days", low=1, high=MAX_DAYS),
        intervals=options.integer("intervals", low=1, high=MAX_DAYS),
        landmark_days=options.integer("landmark_days", low=0, high=MAX_DAYS, default=0),
    )
    if grid.landmark_days + grid.interval_days * grid.intervals > MAX_DAYS:
        raise StudyError(f"survival: wanted a grid that ends within {MAX_DAYS} days")
    return grid


def _arms(options: Options) -> tuple[Arm, ...]:
    if "arms" not in options:
        return (Arm("all", Truth(value=True)),)
    arms = options.arms()
    if len(arms) > MAX_ARMS:
        raise StudyError(f"survival.arms: wanted at most {MAX_ARMS}, got {len(arms)}")
    _reachable("survival.arms", [(arm.label, arm.where) for arm in arms])
    return arms


def _strata(options: Options) -> tuple[Axis, ...]:
    if "strata" not in options:
        return ()
    axes = axes_of(options, "strata", reserved=frozenset({"arm", "entry", "exit"}))
    for axis in axes:
        assert isinstance(axis.position, Choose)
        conditions = [when for when, _ in axis.position.branches]
        if len(conditions) == len(axis.labels):
            _reachable("survival.strata", list(zip(axis.labels, conditions, strict=True)))
    return axes


def _reachable(place: str, conditions: list[tuple[str, Expression]]) -> None:
    """Refuse a group that nobody can be in."""
    earlier: list[Expression] = []
    for label, condition in conditions:
        if condition == Truth(value=False) or condition in earlier:
            raise StudyError(f"{place}: nobody can be in {label!a}, or an earlier one has them all")
        earlier.append(condition)


def _causes(options: Options) -> tuple[Arm, ...]:
    if "competing" not in options:
        return ()
    inner = options.table("competing")
    inner.only(("arms",))
    causes = inner.arms()
    if len(causes) > MAX_CAUSES:
        raise StudyError(f"{inner.place}.arms: wanted at most {MAX_CAUSES}, got {len(causes)}")
    if UNKNOWN_CAUSE in (cause.label for cause in causes):
        raise StudyError(
            f"{inner.place}.arms: wanted other names than {UNKNOWN_CAUSE!r}, the cause of deaths "
            "that belong to none of them"
        )
    _reachable(f"{inner.place}.arms", [(cause.label, cause.where) for cause in causes])
    return causes


def _restricted_mean(options: Options, grid: Grid) -> int | None:
    if "restricted_mean_days" not in options:
        return None
    days = options.integer("restricted_mean_days", low=1, high=MAX_DAYS)
    if days > grid.edges[-1]:
        raise StudyError(
            f"survival.restricted_mean_days: wanted at most {grid.edges[-1]}, "
            f"where the grid ends, got {days}"
        )
    return days


def _expected_at_most(options: Options, grid: Grid) -> int | None:
    if not options.truth("relative", default=False):
        return None
    years = max(1, grid.interval_days // 365)  # 300 in a thousand die within one, 510 within two
    default = 1000 - 1000 * 7**years // 10**years
    return options.integer("expected_at_most", low=1, high=1000, default=default)


def _period(options: Options, grid: Grid) -> Period | None:
    if "period" not in options:
        return None
    inner = options.table("period")
    inner.only(("from", "to"))
    first = inner.integer("from", low=1900, high=2100)
    return Period(grid, first, inner.integer("to", low=first, high=first + 49))


def _one_of(
    options: Options, key: str, choices: tuple[str, ...], *, default: str | None = None
) -> str:
    value = options.text(key, default=default)
    if value not in choices:
        raise StudyError(f"{options.place}.{key}: wanted {' or '.join(choices)}, got {value!a}")
    return value
