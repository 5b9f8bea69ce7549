"""An answer in Python: table, label, files that say what they are, and reading them again."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fake_platform import FakeNetwork, FakePlatform, study_of
from registries import NAMES, registries
from test_result import NOISY
from test_result import Answer as Sealed

from upcare_mpc.cli import show
from upcare_mpc.client import Network, Study, StudyPreview, StudyResult
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.client.rest import RestPlatform
from upcare_mpc.errors import ConfigError, InputError, LinkError, ProtocolError, StudyError
from upcare_mpc.kinds import Result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registries")


@pytest.fixture(scope="module")
def sealed(folder: Path) -> Iterator[Sealed]:
    network = registries(folder)
    yield Sealed(network)
    network.close()


@pytest.fixture
def network(sealed: Sealed) -> FakeNetwork:
    return FakeNetwork(FakePlatform(sealed))


@pytest.fixture
def result(network: FakeNetwork) -> StudyResult:
    return network.submit(study_of(network.fake.sealed)).wait(quiet=True)


def test_the_table_and_the_label_are_those_of_the_opened_result(result: StudyResult) -> None:
    assert list(result.frame.columns) == ["grade", "count", "dp_low", "dp_high"]
    assert result.frame["count"].tolist() == NOISY.tolist()
    assert result.label == result.opened.label()
    assert result.statistics == result.opened.result.statistics
    assert [registry.name for registry in result.registries] == list(NAMES)


def test_a_person_can_read_it(result: StudyResult) -> None:
    for shown in (repr(result), result._repr_html_()):
        assert "Grades" in shown
        assert "discrete Laplace" in shown
        assert "70" in shown
    assert "mechanism " in repr(result.label)
    assert result.label["epsilon"] == 1


def test_words_of_a_study_are_no_markup(sealed: Sealed) -> None:
    study = study_of(sealed)
    marked = replace(study, spec=replace(study.spec, title="<script>x</script>"))

    shown = StudyResult(study=marked, opened=sealed.open())._repr_html_()

    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_json_is_what_the_command_line_prints_and_the_papers(result: StudyResult) -> None:
    ours = result.to_dict()

    printed = show.as_json(result.opened, seconds={})
    assert {name: ours[name] for name in printed if name != "seconds"} == {
        name: value for name, value in printed.items() if name != "seconds"
    }
    assert ours.keys() - printed.keys() == {"study", "papers"}
    assert json.loads(json.dumps(ours)) == ours


def test_every_file_says_what_was_asked_and_what_it_guarantees(
    result: StudyResult, tmp_path: Path
) -> None:
    result.to_json(tmp_path / "x.json")
    result.to_csv(tmp_path / "x.csv")
    result.to_parquet(tmp_path / "x.parquet")

    whole = json.loads((tmp_path / "x.json").read_text("utf-8"))
    beside = json.loads((tmp_path / "x.label.json").read_text("utf-8"))
    schema = pq.read_schema(tmp_path / "x.parquet")
    inside = json.loads(schema.metadata[b"upcare_result"])
    for written in (whole, beside, inside):
        assert written["label"] == result.label
        assert written["study_digest"] == result.study.digest
        assert written["study"] == result.study.text
        # Descriptor, certificates, outputs, her request, charges.
        assert len(written["papers"]) == 1 + 4 + 3 + 1 + 4
    with (tmp_path / "x.csv").open(newline="") as file:
        assert [row["count"] for row in csv.DictReader(file)] == [str(n) for n in NOISY]
    assert pq.read_table(tmp_path / "x.parquet")["count"].to_pylist() == NOISY.tolist()


@pytest.mark.parametrize("name", ["x.json", "x.csv", "x.label.json", "x.parquet"])
def test_a_file_is_opened_again_with_every_check(
    network: FakeNetwork, result: StudyResult, tmp_path: Path, name: str
) -> None:
    result.to_json(tmp_path / "x.json")
    result.to_csv(tmp_path / "x.csv")
    result.to_parquet(tmp_path / "x.parquet")

    again = network.read(tmp_path / name)

    assert again.frame.equals(result.frame)
    assert again.study == result.study
    assert again.label == result.label


def test_numbers_in_a_file_are_not_believed(
    network: FakeNetwork, result: StudyResult, tmp_path: Path
) -> None:
    written = result.to_dict()
    written["result"]["rows"][0]["count"] = 1_000_000
    written["label"]["epsilon"] = 0.001
    (tmp_path / "x.json").write_text(json.dumps(written), "utf-8")

    again = network.read(tmp_path / "x.json")

    assert again.frame["count"].tolist() == NOISY.tolist()
    assert again.label["epsilon"] == 1


def _another_study(written: dict[str, object]) -> None:
    written["study"] = str(written["study"]).replace("Grades", "Grades of others")


def _no_paper_of_one_registry(written: dict[str, object]) -> None:
    papers = written["papers"]
    assert isinstance(papers, list)
    del papers[1]


def _other_bytes(written: dict[str, object]) -> None:
    written["papers"] = ["AAAA"]


@pytest.mark.parametrize("change", [_another_study, _no_paper_of_one_registry, _other_bytes])
def test_papers_that_do_not_belong_together_are_refused(
    network: FakeNetwork,
    result: StudyResult,
    tmp_path: Path,
    change: Callable[[dict[str, object]], None],
) -> None:
    written = result.to_dict()
    change(written)
    (tmp_path / "x.json").write_text(json.dumps(written), "utf-8")

    with pytest.raises(ProtocolError):
        network.read(tmp_path / "x.json")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"study": 1}', '{"study": 1, "papers": []}', '{"papers": [1]}']
)
def test_another_file_is_refused_in_one_line(
    network: FakeNetwork, tmp_path: Path, content: str
) -> None:
    for name in ("x.json", "x.parquet"):
        (tmp_path / name).write_text(content, "utf-8")
        with pytest.raises(InputError, match=rf"^{name}: "):
            network.read(tmp_path / name)


def test_a_file_that_is_not_there_is_named(network: FakeNetwork, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^x\.label\.json: no such file$"):
        network.read(tmp_path / "x.csv")


def test_a_file_that_cannot_be_written_leaves_what_was_there(
    result: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "answer.json"
    path.write_text("the answer of yesterday", "utf-8")

    def full(self: Path, text: str, encoding: str) -> int:
        self.write_bytes(text[:10].encode(encoding))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match=r"answer.json: cannot be written: No space left"):
        result.to_json(path)

    assert path.read_bytes() == b"the answer of yesterday"
    assert [file.name for file in tmp_path.iterdir()] == ["answer.json"]


def test_a_table_is_written_under_a_name_that_says_so(result: StudyResult, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"wanted a file name that ends in \.csv"):
        result.to_csv(tmp_path / "answer.txt")


def test_what_is_no_file_is_refused_in_one_line(network: FakeNetwork, tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000, "utf-8")
    with pytest.raises(InputError, match="wanted a file that a result has written"):
        network.read(tmp_path / "deep.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        network.read(tmp_path / "folder.json")


def test_the_picture_is_an_altair_chart(result: StudyResult, tmp_path: Path) -> None:
    result.plot(title="Mine").save(tmp_path / "plot.svg")

    assert "Mine" in (tmp_path / "plot.svg").read_text("utf-8")


def test_there_is_no_funnel_plot_of_registries(result: StudyResult) -> None:
    with pytest.raises(TypeError):
        result.plot(kind="funnel")  # type: ignore[call-arg]


def test_counts_are_not_refitted(result: StudyResult) -> None:
    with pytest.raises(StudyError, match=r"^refit: wanted a regression, got a study of counts$"):
        result.refit(terms=[["grade"]])


def test_another_model_is_fitted_to_the_same_noisy_table(result: StudyResult) -> None:
    class Regression:
        def refit(self, noisy: object, noise: object, *, terms: list[str]) -> Result:
            assert noisy is result.noisy
            return replace(result.opened.result, notes=tuple(terms))

    question = replace(result.opened.question, kind=Regression())  # type: ignore[arg-type]
    asked = replace(result, opened=replace(result.opened, question=question))

    again = asked.refit(terms=["age group"])

    assert again.notes == ("age group",)
    assert again.label == result.label


def test_a_preview_says_what_it_costs_and_what_registries_say(network: FakeNetwork) -> None:
    preview = network.preview(study_of(network.fake.sealed))

    assert preview.cells == 4
    assert {answer.registry for answer in preview.registries} == set(NAMES)
    assert preview.lacking == dict.fromkeys(NAMES)
    written = preview.to_dict()
    assert written["study_digest"] == study_of(network.fake.sealed).digest
    assert json.loads(json.dumps(written)) == written
    for shown in (repr(preview), preview._repr_html_()):
        assert "epsilon 1" in shown
        assert "fr-a" in shown
    assert len(preview.frame) == len(preview.expected.figures)
    assert network.fake.submitted == []


def test_a_preview_of_several_tables_says_which_counts_patients(sealed: Sealed) -> None:
    study = Study.survival(
        title="Relative survival",
        purpose="DUO:0000007",
        registries=["de-a"],
        epsilon=1,
        interval_days=365,
        intervals=5,
        relative=True,
    )
    preview = StudyPreview.of(study.question(1), [], [])

    weight = preview.question.layout.tables[0].weight
    reach = preview.question.guarantee.error95 / weight
    assert weight > 1
    assert f"a cell of exits: 95 % within {reach:.3g} patients" in repr(preview)
    assert len(preview.expected.figures) == len(preview.frame) > 0


def test_the_catalogue_is_a_table(network: FakeNetwork) -> None:
    frame = network.catalogue()

    assert frame.loc[0, "registry"] == "de-a"
    assert frame.loc[0, "variables"] is None


def test_a_network_is_found_by_its_folder(
    network: FakeNetwork, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("UPCARE_RESEARCHER", raising=False)
    with pytest.raises(ConfigError, match=r"^network: wanted a researcher's folder"):
        Network()
    with pytest.raises(ConfigError, match=r"^researcher\.key is missing"):
        Network(tmp_path)
    monkeypatch.setenv("UPCARE_RESEARCHER", str(tmp_path))
    with pytest.raises(ConfigError, match=r"^researcher\.key is missing"):
        Network()


def test_a_study_file_names_the_same_question_by_its_digest(result: StudyResult) -> None:
    canonical = result.study.spec.canonical()

    assert hashlib.sha256(b"upcare study v1\0" + canonical).hexdigest() == result.study.digest


@pytest.mark.usefixtures("sealed")
def test_the_public_interface_is_asked_where_an_address_is_stated(
    folder: Path, tmp_path: Path
) -> None:
    me = Path(shutil.copytree(folder / "me", tmp_path / "me"))

    with Network(me).platform() as platform:
        assert isinstance(platform, PlatformClient)
    with Network(me, url="https://localhost:1").platform() as platform:
        assert isinstance(platform, RestPlatform)
    with (me / "researcher.pub").open("a", encoding="utf-8") as file:
        file.write('api = "https://localhost:1"\n')
    with Network(me).platform() as platform:
        assert isinstance(platform, RestPlatform)
    with pytest.raises(LinkError, match=r"^the interface cannot be reached$"):
        Network(me).catalogue()


@pytest.mark.usefixtures("sealed")
@pytest.mark.parametrize("url", ["http://example.org", "ftp://example.org", "nonsense"])
def test_an_address_that_protects_nothing_is_refused(folder: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=r"^wanted the address of a public interface"):
        Network(folder / "me", url=url).catalogue()
