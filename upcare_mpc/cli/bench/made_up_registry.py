"""Files of a registry that does not exist, as large as wanted: for benchmarks and tests.

Two formats: oBDS 3.0.4 messages, and the ENCR-JRC incidence file of 39 columns. What stands in them
looks like the format (namespace, precision flags, codes with their versions, reporters, values that
are no code) and not like an epidemic: sites, ages and years are drawn flat, so that every cell of a
large table is counted. Nobody in them ever lived.

The same number gives the same file. A file is written as it is made, in constant memory.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from random import Random
from typing import BinaryIO, Final

from upcare_mpc.ingest.encr import COLUMNS

__all__ = ["Made", "write_encr", "write_obds"]

_SEED: Final = 7
_PIECES_PER_WRITE: Final = 512
_OLDEST: Final = 95
_DAYS: Final = 20 * 365  # of diagnosis
_FOLLOW_UP_DAYS: Final = 5 * 365
_DAY_ZERO: Final = date(2000, 1, 1)
_LIFE_DAYS: Final = (_OLDEST + 1) * 365
_CALENDAR: Final = [
    (_DAY_ZERO + timedelta(days=day)).isoformat()
    for day in range(-_LIFE_DAYS, _DAYS + 2 * _FOLLOW_UP_DAYS)
]

_FLAGS: Final = ("E",) * 40 + ("T", "T", "M", "V")
_SEXES: Final = ("W",) * 12 + ("M",) * 12 + ("D", "U")
_BASES: Final = ("7.1", "7.1", "7.1", "7.1", "7.2", "7.3", "5", "2", "1", "4", "8", "9")
_GRADES: Final = ("1", "2", "2", "3", "3", "4", "L", "H", "X", "U")
_SIDES: Final = ("L", "R", "B", "M", "T", "U")
_T: Final = ("is", "0", "1", "1a", "1c", "1mi", "2", "2b", "3", "4", "4d", "X")
_N: Final = ("0", "0", "0", "1", "1a", "2", "3", "X")
_M: Final = ("0", "0", "0", "0", "1", "1a", "1b")
_STAGES_BY_T: Final = {"0": "0", "is": "0", "1": "I", "2": "IIA", "3": "IIB", "4": "IIIB"}
_SYSTEMIC: Final = (
    "CH",
    "CH",
    "HO",
    "HO",
    "IM",
    "ZS",
    "CI",
    "CZ",
    "CIZ",
    "IZ",
    "SZ",
    "AS",
    "WS",
)
_OPERATIONS: Final = (
    "5-870.a1",
    "5-872.1",
    "5-455.41",
    "5-604.02",
    "5-895.14",
    "1-494.3",
)
_INTENTIONS: Final = ("K", "K", "K", "K", "P", "D", "X")
_STATUSES: Final = ("V", "V", "V", "T", "K", "P", "P", "D", "Y", "Y", "U", "X")
_MORPHOLOGIES: Final = (
    "8500/3",
    "8520/3",
    "8140/3",
    "8070/3",
    "8720/3",
    "8010/3",
    "8000/3",
)
_SITES: Final = tuple(
    f"C{site:02}.{subsite}"
    for site in range(81)
    for subsite in (0, 1, 9)
    if site not in {27, 28, 29, 35, 36, 42, 59, 77, 78, 79}  # no site, or of secondary tumours
)
_REGIONS: Final = tuple(f"DE{land}{part}" for land in "123" for part in ("11", "12", "1A", "2C"))

_REPORTERS: Final = 40
_SECOND_TUMOUR, _DEATH, _CORRECTION = 0.08, 0.25, 0.02
_PATIENTS_UNTIL_CORRECTION: Final = 1000
_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<oBDS xmlns="http://www.basisdatensatz.de/oBDS/XML" Schema_Version="3.0.4">'
    '<Absender Absender_ID="MADE-UP" Software_ID="upcare" Software_Version="1"/>'
    "<Meldedatum>2025-01-15</Meldedatum><Menge_Patient>\n"
)
_TAIL: Final = "</Menge_Patient></oBDS>\n"

_ENCR_BODIES: Final = 65_536  # different rows, but for patient and tumour


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a file holds, and so what reading it must give.

    Attributes:
        patients: Different patients.
        tumours: Different tumours; each has a usable date.
        messages: Messages or rows, corrections among them.
        corrections: Messages that replace an earlier one.
    """

    patients: int
    tumours: int
    messages: int
    corrections: int


def write_obds(file: BinaryIO, patients: int) -> Made:
    """Write about 3 oBDS messages a patient, some of them corrected later in the file."""
    registry = _Obds()
    file.write(_HEAD.encode())
    _write(file, registry.elements(patients))
    file.write(_TAIL.encode())
    return Made(
        patients=patients,
        tumours=registry.tumours,
        messages=registry.messages,
        corrections=registry.corrections,
    )


def write_encr(file: BinaryIO, rows: int) -> Made:
    """Write ENCR rows; every tenth tumour or so is a further one of the patient before."""
    chance = Random(_SEED).random  # noqa: S311 - nothing secret
    bodies = [_encr_row(chance) for _ in range(_ENCR_BODIES)]
    patients = 0

    def lines() -> Iterator[str]:
        nonlocal patients
        tumour = 0
        for _ in range(rows):
            if tumour and chance() < _SECOND_TUMOUR:
                tumour += 1
            else:
                patients, tumour = patients + 1, 1
            before, behind = bodies[int(chance() * _ENCR_BODIES)]
            yield f"P{patients:08};{before};{tumour};{behind}\n"

    file.write((";".join(COLUMNS) + "\n").encode())
    _write(file, lines())
    return Made(patients=patients, tumours=rows, messages=rows, corrections=0)


def _write(file: BinaryIO, pieces: Iterator[str]) -> None:
    while together := "".join(islice(pieces, _PIECES_PER_WRITE)):
        file.write(together.encode())


class _Obds:
    """The patients of one file, and how many of what they are."""

    def __init__(self) -> None:
        self.tumours = 0
        self.messages = 0
        self.corrections = 0
        self._chance = Random(_SEED).random  # noqa: S311 - nothing secret

    def elements(self, patients: int) -> Iterator[str]:
        """``Patient`` elements; a correction comes in one of its own."""
        waiting: deque[str] = deque()
        for number in range(patients):
            yield self._patient(f"P{number:08}", waiting)
            if len(waiting) > _CORRECTION * _PATIENTS_UNTIL_CORRECTION:
                yield waiting.popleft()
        yield from waiting

    def _pick(self, values: tuple[str, ...]) -> str:
        return values[int(self._chance() * len(values))]

    def _patient(self, patient: str, waiting: deque[str]) -> str:
        chance = self._chance
        diagnosed = int(chance() * _DAYS)
        born = diagnosed - int(chance() * _OLDEST * 365)
        head = (
            f'<Patient Patient_ID="{patient}"><Patienten_Stammdaten><Versichertendaten_Sonstige>'
            "<Ersatzkode>970000099</Ersatzkode></Versichertendaten_Sonstige><Nachname>Test"
            f"</Nachname><Vornamen>Person</Vornamen><Geschlecht>{self._pick(_SEXES)}</Geschlecht>"
            f"{_dated('Geburtsdatum', born, self._pick(_FLAGS))}<Adresse><Land>DE</Land>"
            "<PLZ>99999</PLZ><Ort>Testdorf</Ort></Adresse></Patienten_Stammdaten><Menge_Meldung>"
        )
        tail = "</Menge_Meldung></Patient>\n"
        messages = self._tumour(f"{patient}-1", diagnosed, dies=chance() < _DEATH)
        if chance() < _SECOND_TUMOUR:
            later = diagnosed + int(chance() * _FOLLOW_UP_DAYS)
            messages += self._tumour(f"{patient}-2", later, dies=False)
        self.messages += len(messages)
        if chance() < _CORRECTION:
            self.messages += 1
            self.corrections += 1
            corrected = messages[0].replace("8500/3", "8520/3")  # the others are sent twice as is
            waiting.append(f"{head}{corrected}{tail}")
        return f"{head}{''.join(messages)}{tail}"

    def _tumour(self, key: str, diagnosed: int, *, dies: bool) -> list[str]:
        """The messages on one tumour, the diagnosis first."""
        self.tumours += 1
        chance, pick = self._chance, self._pick
        site = pick(_SITES)
        date_of_diagnosis = _dated("Diagnosedatum", diagnosed, pick(_FLAGS))
        documents = [self._diagnosis(site, diagnosed)]
        if chance() < 0.5:
            documents.append(self._operation(diagnosed))
        if chance() < 0.1:
            documents.append(self._pathology(diagnosed))
        if chance() < 0.2:
            documents.append(self._radiotherapy(diagnosed))
        if chance() < 0.35:
            documents.append(self._systemic(diagnosed))
        if chance() < 0.35:
            documents.append(self._course(diagnosed))
        if dies:
            documents.append(self._death(site, diagnosed))
        reporter = int(chance() * _REPORTERS)
        return [
            f'<Meldung Meldung_ID="{key}-{number}" Melder_ID="M{(reporter + number) % _REPORTERS}">'
            "<Meldebegruendung>I</Meldebegruendung><Eigene_Leistung>J</Eigene_Leistung>"
            f'<Tumorzuordnung Tumor_ID="{key}"><Primaertumor_ICD><Code>{site}</Code>'
            f"<Version>10 2019 GM</Version></Primaertumor_ICD>{date_of_diagnosis}"
            f"<Seitenlokalisation>{pick(_SIDES)}</Seitenlokalisation></Tumorzuordnung>"
            f"{document}</Meldung>"
            for number, document in enumerate(documents)
        ]

    def _diagnosis(self, site: str, day: int) -> str:
        pick = self._pick
        return (
            f"<Diagnose><Primaertumor_Topographie_ICD_O><Code>{site}</Code><Version>33</Version>"
            "</Primaertumor_Topographie_ICD_O>"
            f"<Diagnosesicherung>{pick(_BASES)}</Diagnosesicherung>"
            f"{self._histology(day)}{self._tnm('cTNM', 'c')}"
            "<Allgemeiner_Leistungszustand>U</Allgemeiner_Leistungszustand></Diagnose>"
        )

    def _operation(self, diagnosed: int) -> str:
        pick = self._pick
        day = diagnosed + int(self._chance() * 400) - 5
        return (
            f"<OP OP_ID='1'><Intention>{pick(_INTENTIONS)}</Intention><Datum>{_day(day)}</Datum>"
            f"<Menge_OPS><OPS><Code>{pick(_OPERATIONS)}</Code><Version>2019</Version></OPS>"
            f"<OPS><Code>{pick(_OPERATIONS)}</Code><Version>2019</Version></OPS></Menge_OPS>"
            f"{self._histology(day)}{self._tnm('TNM', 'p')}<Residualstatus>"
            "<Lokale_Beurteilung_Residualstatus>R0</Lokale_Beurteilung_Residualstatus>"
            "</Residualstatus></OP>"
        )

    def _pathology(self, diagnosed: int) -> str:
        return (
            "<Pathologie Befund_ID='1'><Einsender>Test</Einsender><Befundtext>Test</Befundtext>"
            f"{self._histology(diagnosed + 7)}</Pathologie>"
        )

    def _histology(self, day: int) -> str:
        pick = self._pick
        return (
            f"<Histologie>{_dated('Tumor_Histologiedatum', day, 'E')}<Morphologie_ICD_O>"
            f"<Code>{pick(_MORPHOLOGIES)}</Code><Version>33</Version></Morphologie_ICD_O>"
            f"<Grading>{pick(_GRADES)}</Grading><LK_befallen>5</LK_befallen></Histologie>"
        )

    def _tnm(self, element: str, prefix: str) -> str:
        t, n, m = self._pick(_T), self._pick(_N), self._pick(_M)
        return (
            f"<{element}><Version>8</Version><c_p_u_Praefix_T>{prefix}</c_p_u_Praefix_T>"
            f"<T>{t}</T><c_p_u_Praefix_N>{prefix}</c_p_u_Praefix_N><N>{n}</N>"
            f"<c_p_u_Praefix_M>c</c_p_u_Praefix_M><M>{m}</M>"
            f"<UICC_Stadium>{_stage(t, n, m)}</UICC_Stadium></{element}>"
        )

    def _radiotherapy(self, diagnosed: int) -> str:
        begin = diagnosed + int(self._chance() * 500)
        return (
            "<ST ST_ID='1'><Meldeanlass>behandlungsende</Meldeanlass><Intention>K</Intention>"
            "<Stellung_OP>A</Stellung_OP><Menge_Bestrahlung><Bestrahlung>"
            f"{_dated('Beginn', begin, 'E')}<Ende>{_day(begin + 40)}</Ende><Applikationsart>"
            "<Perkutan><Zielgebiet><CodeVersion2021>3.1.</CodeVersion2021></Zielgebiet></Perkutan>"
            "</Applikationsart></Bestrahlung></Menge_Bestrahlung></ST>"
        )

    def _systemic(self, diagnosed: int) -> str:
        begin = diagnosed + int(self._chance() * 500)
        return (
            "<SYST SYST_ID='1'><Meldeanlass>behandlungsbeginn</Meldeanlass><Intention>K</Intention>"
            f"<Stellung_OP>A</Stellung_OP><Therapieart>{self._pick(_SYSTEMIC)}</Therapieart>"
            f"{_dated('Beginn', begin, self._pick(('E', 'T')))}<Menge_Substanz><Substanz>"
            "<Bezeichnung>Test</Bezeichnung></Substanz></Menge_Substanz></SYST>"
        )

    def _course(self, diagnosed: int) -> str:
        day = diagnosed + int(self._chance() * _FOLLOW_UP_DAYS)
        return (
            "<Verlauf Verlauf_ID='1'><Meldeanlass>statusmeldung</Meldeanlass>"
            f"<Untersuchungsdatum_Verlauf>{_day(day)}</Untersuchungsdatum_Verlauf>"
            f"<Gesamtbeurteilung_Tumorstatus>{self._pick(_STATUSES)}</Gesamtbeurteilung_Tumorstatus>"
            "<Allgemeiner_Leistungszustand>U</Allgemeiner_Leistungszustand></Verlauf>"
        )

    def _death(self, site: str, diagnosed: int) -> str:
        day = diagnosed + int(self._chance() * _FOLLOW_UP_DAYS)
        return (
            f"<Tod Abschluss_ID='1'><Sterbedatum>{_day(day)}</Sterbedatum>"
            f"<Tod_tumorbedingt>{self._pick(('J', 'N', 'U'))}</Tod_tumorbedingt>"
            f"<Menge_Todesursachen><Todesursache_ICD><Code>{site}</Code>"
            "<Version>10 2019 WHO</Version></Todesursache_ICD></Menge_Todesursachen></Tod>"
        )


def _stage(t: str, n: str, m: str) -> str:
    """As staging goes, in outline; ``okk`` where there is none."""
    if m != "0":
        return "IV"
    if n in {"0", "X"}:
        return _STAGES_BY_T.get(t[:1] if t[0].isdigit() else t, "okk")
    return "IIIC1" if n == "3" else "IIIA"


def _day(day: int) -> str:
    return _CALENDAR[_LIFE_DAYS + day]


def _dated(element: str, day: int, flag: str) -> str:
    return f'<{element} Datumsgenauigkeit="{flag}">{_day(day)}</{element}>'


def _encr_row(chance: Callable[[], float]) -> tuple[str, str]:
    """The columns between patient and tumour, and those behind."""

    def pick(values: Sequence[str]) -> str:
        return values[int(chance() * len(values))]

    def digit(most: int) -> int:
        return int(chance() * (most + 1))

    year, age, survived = (
        2000 + digit(19),
        digit(_OLDEST),
        int(chance() * _FOLLOW_UP_DAYS),
    )
    site, status = pick(_SITES).replace(".", ""), pick(("1", "1", "2", "9"))
    sex = pick(("1", "1", "1", "2", "2", "2", "9"))
    region = pick(_REGIONS)
    tnm = ";".join(pick(values) for values in (_T, _N, _M) * 2)
    treatments = ";".join(pick(("0", "0", "1", "9")) for _ in range(8))
    cause = f"10;{site}" if status == "2" else ";"
    before = f"{1 + digit(11)};{year - age};{age};{sex};{region};Test"
    behind = (
        f"{1 + digit(11)};{year};{pick('1245679')};{site};{pick(_MORPHOLOGIES)[:4]};3;"
        f"{pick('12349')};0;{status};{1 + digit(11)};{year + survived // 365};{survived};{cause};"
        f"{pick('789')};{tnm};1;{pick('01234')};{treatments}"
    )
    return before, behind
