"""For all tests."""

# It is the first to load py_ecc, and puts back the limit of recursion that py_ecc raises.
import upcare_mpc.abe.group_py_ecc  # noqa: F401
