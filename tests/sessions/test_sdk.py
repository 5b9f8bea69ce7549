"""The examples of docs/sdk.md, run in their order on a network of real processes."""

import doctest
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fragile_network import FIVE, PARTIES, data_of

from upcare_mpc.cli.local.demo import SERVED_EPSILON, answering_api
from upcare_mpc.cli.local.network import LocalNetwork, LocalPolicy
from upcare_mpc.client import Network, Study
from upcare_mpc.errors import LinkError, RefusedError

pytestmark = pytest.mark.parties

SDK = PARTIES.parent / "docs" / "sdk.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a study and a researcher's keys, twice; her network runs.

    ``me`` has the address of the public interface too, ``grpc`` that of the platform alone.
    """
    folder = tmp_path_factory.mktemp("sdk")
    shutil.copy(PARTIES / "study.toml", folder)
    policy = LocalPolicy(purposes=["DUO:0000007"], epsilon=SERVED_EPSILON)
    with LocalNetwork(data=data_of(*FIVE), overlap=1, policy=policy) as network:
        network.wait_until_attending(Study.load(folder / "study.toml").spec)
        shutil.copytree(network.folder / "researcher", folder / "grpc")
        shutil.copytree(network.folder / "researcher", folder / "me")
        with (folder / "me" / "researcher.pub").open("a", encoding="utf-8") as public:
            public.write(f'api = "{answering_api(network)}"\n')
        yield folder


def test_every_example_of_the_documentation_is_true(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    text = SDK.read_text("utf-8")
    examples = "\n".join(re.findall(r"^```pycon\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    test = doctest.DocTestParser().get_doctest(examples, {}, "sdk.md", "sdk.md", 0)
    said: list[str] = []

    flags = doctest.ELLIPSIS | doctest.REPORT_NDIFF
    outcome = doctest.DocTestRunner(optionflags=flags).run(test, out=said.append)

    assert outcome.failed == 0, "".join(said)
    assert outcome.attempted >= 15
    assert (folder / "survival.label.json").stat().st_size > 0


def test_a_finished_study_is_found_again_by_whoever_has_the_keys(folder: Path) -> None:
    study = Study.counts(
        title="Grades again", purpose="DUO:0000007", registries=list(FIVE), overlap=1, epsilon=1,
        by=["grade"],
    )  # fmt: skip
    first = Network(folder / "grpc").submit(study).wait(quiet=True)

    over_https = Network(folder / "me").job(study).wait(quiet=True)
    again = Network(folder / "me").submit(study).wait(quiet=True)

    assert over_https.noisy.tolist() == again.noisy.tolist() == first.noisy.tolist()
    assert over_https.label == again.label == first.label


def test_both_ways_to_the_platform_preview_alike(folder: Path) -> None:
    study = Study.load(folder / "study.toml")

    over_https = Network(folder / "me").preview(study).to_dict()

    assert over_https == Network(folder / "grpc").preview(study).to_dict()


@pytest.mark.parametrize("way", ["grpc", "me"])
def test_a_wait_that_is_too_short_loses_nothing(folder: Path, way: str) -> None:
    study = Study.means(
        title=f"Ages, {way}", purpose="DUO:0000007", registries=list(FIVE), overlap=1, epsilon=1,
        variables=[{"variable": "age", "from": 18, "to": 100}],
    )  # fmt: skip
    job = Network(folder / way).submit(study)

    with pytest.raises(LinkError, match="it goes on, wait for it again"):
        job.wait(0.01, quiet=True)

    assert 40 < job.wait(quiet=True).frame["estimate"].iloc[0] < 70


@pytest.mark.parametrize("way", ["grpc", "me"])
def test_a_study_that_was_never_submitted_is_refused(folder: Path, way: str) -> None:
    study = Study.counts(
        title="Nobody asked", purpose="DUO:0000007", registries=["de-a"], epsilon=1, by=["grade"]
    )

    with pytest.raises(RefusedError, match="has not submitted such a study"):
        Network(folder / way).job(study).wait(quiet=True)
