"""The limit on wrong codes."""

from upcare_mpc.web.attempts import MOST, WINDOW_S, Attempts


def test_the_limit_opens_again_as_wrong_codes_grow_old() -> None:
    attempts = Attempts()
    for turn in range(MOST):
        assert attempts.allowed(float(turn) / MOST)
        attempts.wrong(float(turn) / MOST)

    assert not attempts.allowed(WINDOW_S)
    assert attempts.allowed(WINDOW_S + 0.01)
    attempts.wrong(WINDOW_S + 0.01)
    assert not attempts.allowed(WINDOW_S + 0.02)
