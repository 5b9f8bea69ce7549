"""``python -m upcare_mpc``: the `upcare` command, for processes that start others."""

from upcare_mpc.cli.main import run

if __name__ == "__main__":
    run()
