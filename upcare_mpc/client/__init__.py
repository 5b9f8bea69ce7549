"""For researchers: keys, asking, following, and opening results.

    from upcare_mpc.client import Network, Study

    network = Network("me")
    study = Study.load("study.toml")
    result = network.submit(study).wait()
    result.plot()

What is named here is the Python interface; it is loaded when it is first used, so that a command
that needs one module of this package does not load all of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from upcare_mpc.client.deposits import DepositClient
    from upcare_mpc.client.job import Job
    from upcare_mpc.client.network import Network
    from upcare_mpc.client.platform import Event
    from upcare_mpc.client.preview import StudyPreview
    from upcare_mpc.client.study import Study
    from upcare_mpc.client.study_result import Label, StudyResult

__all__ = [
    "DepositClient",
    "Event",
    "Job",
    "Label",
    "Network",
    "Study",
    "StudyPreview",
    "StudyResult",
]

_HOMES: Final = {
    "DepositClient": "deposits",
    "Event": "platform",
    "Job": "job",
    "Label": "study_result",
    "Network": "network",
    "Study": "study",
    "StudyPreview": "preview",
    "StudyResult": "study_result",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
