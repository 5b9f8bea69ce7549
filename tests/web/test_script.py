"""The script that makes a patient's deposit, in a real Chromium, held to vectors and to Python."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256, shake_256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import joint_key
from browser_vectors import VECTORS
from gathering import HOLDERS, Gathering, study_text
from joint import signed, stream
from playwright.sync_api import Browser, Page, Route

from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.envelopes import check_payload, ciphertext_of, open_share, wrap
from upcare_mpc.deposits.key import CollectionKey
from upcare_mpc.deposits.submission import NONCE_BYTES, Deposit
from upcare_mpc.errors import ProtocolError
from upcare_mpc.he.sampling import expand
from upcare_mpc.he.scheme import Ciphertext, PublicKey
from upcare_mpc.kinds.answers import answer_vector
from upcare_mpc.link.certificates import Network
from upcare_mpc.link.signers import certifier
from upcare_mpc.mpc import field

pytestmark = [pytest.mark.parties, pytest.mark.slow]

KNOWN = json.loads(VECTORS.read_text("ascii"))
HE = json.loads((VECTORS.parent / "he.json").read_text("ascii"))
SCRIPTS = files("upcare_mpc.web").joinpath("script")
PLACE = "https://deposit.test/"  # nothing is asked of anybody: the test answers

HELP = """
import { shake256 } from "./keccak.js";
import { expand, joined, sha256 } from "./lattice.js";
import { fromBase64, hex } from "./certificates.js";

export const unhex = (digits) => Uint8Array.from(digits.match(/../g) ?? [], (d) => parseInt(d, 16));

export function based(octets) {
  return btoa(Array.from(octets, (octet) => String.fromCharCode(octet)).join(""));
}

export function stream(name) {
  const octets = shake256(new TextEncoder().encode("upcare/v1/vectors|" + name), 3_000_000);
  let at = 0;
  return (count) => octets.slice(at, (at += count));
}

export function keyOf(seed, bSeed) {
  const octets = new Uint8Array(33 + 22 * 8192);
  octets.set([1, ...unhex(seed)]);
  expand(unhex(bSeed)).forEach((x, i) => {
    octets.set(unhex(x.toString(16).padStart(44, "0")).reverse(), 33 + 22 * i);
  });
  return octets;
}
export const digest = async (octets) => hex(await sha256(octets));
export { hex, fromBase64, joined };
"""


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    """A page that may load the scripts, and has nothing else."""
    opened = chromium.new_page()

    def answer(route: Route) -> None:
        name = route.request.url.removeprefix(PLACE)
        if name == "":
            route.fulfill(content_type="text/html", body="<!DOCTYPE html><title>x</title>")
            return
        text = HELP if name == "help.js" else SCRIPTS.joinpath(name).read_text("utf-8")
        route.fulfill(content_type="text/javascript", body=text)

    opened.route(f"{PLACE}**", answer)
    opened.goto(PLACE)
    yield opened
    opened.close()


def run(page: Page, script: str, given: Any = None) -> Any:
    """Run a script's body with the modules at hand; what it returns."""
    return page.evaluate(
        """async ([body, given]) => {
          const names = ["help", "keccak", "lattice", "certificates", "sealed", "deposit"];
          const modules = await Promise.all(names.map((name) => import(`/${name}.js`)));
          const all = Object.assign({}, ...modules);
          const run = new Function("m", "given", `return (async () => { ${body} })()`);
          return run(all, given);
        }""",
        [script, given],
    )


# --- he.json: the scheme and its proof ------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 135, 136, 137, 1000])
def test_shake256_is_python_s(page: Page, count: int) -> None:

    message = bytes(n % 251 for n in range(count))

    found = run(page, "return m.hex(m.shake256(new Uint8Array(given), 300))", list(message))

    assert found == shake_256(message).hexdigest(300)


def test_keys_and_challenges_are_those_of_the_vectors(page: Page) -> None:
    key, challenge, expanded = HE["key"], HE["challenge"], HE["expanded"]

    found = run(
        page,
        """
        const octets = m.keyOf(given.seed, given.b_seed);
        const key = await m.publicKey(octets);
        return [await m.digest(octets), m.hex(key.digest)];
        """,
        key,
    )

    assert found == [key["sha256"], key["digest"]]
    ones = run(page, "return m.challenge(m.unhex(given))", challenge["hash"])
    assert ones == challenge["ones"]
    first = run(
        page,
        "return m.expand(m.unhex(given)).slice(0, 2).map((x) => x.toString(16).padStart(44, '0'))",
        expanded["seed"],
    )
    assert first == expanded["first"]


@pytest.mark.parametrize("case", HE["good"], ids=lambda case: case["name"])
def test_a_ciphertext_and_its_proof_are_those_of_the_vectors(
    page: Page, case: dict[str, Any]
) -> None:
    found = run(
        page,
        """
        const key = await m.publicKey(m.keyOf(given.key.seed, given.key.b_seed));
        const cells = Array.from(
          { length: given.cells }, (_, i) => BigInt(given.first) + BigInt(i) * BigInt(given.step));
        const random = m.stream(given.random);
        const encrypted = m.encrypt(key, cells, random);
        const proof = await m.prove(key, encrypted, m.unhex(given.context), random);
        return [await m.digest(encrypted.ciphertext), await m.digest(proof)];
        """,
        {**case, "key": HE["key"], "first": str(case["first"]), "step": str(case["step"])},
    )

    assert found == [case["ciphertext_sha256"], case["proof_sha256"]]


@pytest.mark.parametrize(
    "change", ["octets[0] = 2", "octets.fill(255, 33, 55)", "octets = octets.slice(1)"]
)
def test_a_key_that_is_not_canonical_is_refused(page: Page, change: str) -> None:
    said = run(
        page,
        f"let octets = m.keyOf(given.seed, given.b_seed); {change};"
        "return m.publicKey(octets).then(() => 'taken', (error) => error.message)",
        HE["key"],
    )

    assert said == "not a public key"


@pytest.mark.parametrize(
    "cell", [str(sign * over) for over in (1 << 61, (1 << 61) - 1) for sign in (1, -1)]
)
def test_a_cell_that_is_no_plaintext_is_refused(page: Page, cell: str) -> None:
    said = run(
        page,
        """
        const key = await m.publicKey(m.keyOf(given[0].seed, given[0].b_seed));
        try { m.encrypt(key, [BigInt(given[1])], m.deviceRandom); return "taken"; }
        catch (error) { return error.message; }
        """,
        [HE["key"], cell],
    )

    assert said == "a cell is out of range"


# --- browser_deposit.json: the papers -------------------------------------------------------------

OPEN = """
const described = { ...given.described, ...given.set };
described.public = m.based(m.keyOf(described.seed, given.b_seed));
const found = await m.openCollection(described, given.now);
"""


def test_a_deposit_is_that_of_the_vectors(page: Page) -> None:
    found = run(
        page,
        OPEN
        + """
        const cells = m.answerVector(found.study, given.chosen);
        const random = m.stream(given.random);
        let stated = null;
        const sign = async (said) => { stated = said; return m.fromBase64(given.signature); };
        const key = { point: m.fromBase64(given.point), sign };
        const half = m.wrapped(found, cells, random);
        const ticket = m.fromBase64(given.ticket);
        const deposit = await m.finished(found, half, key, ticket, given.certificate, random);
        return [m.hex(found.digest), cells, m.based(stated), await m.digest(deposit)];
        """,
        KNOWN,
    )

    assert found == [
        KNOWN["collection_digest"],
        KNOWN["vector"],
        KNOWN["statement"],
        KNOWN["deposit_sha256"],
    ]


def test_the_vectors_are_what_python_makes_and_takes() -> None:
    described = KNOWN["described"]
    collection = Collection.from_canonical(base64.b64decode(described["collection"]))
    b = tuple(expand(bytes.fromhex(KNOWN["b_seed"])))
    public = PublicKey(bytes.fromhex(described["seed"]), b)
    key, random = CollectionKey(public=public, sealing=()), stream(KNOWN["random"])
    deposit = Deposit(
        collection=collection.digest,
        role="patient",
        submitter=base64.b64decode(KNOWN["point"]),
        ticket=base64.b64decode(KNOWN["ticket"]),
        certificate=KNOWN["certificate"].encode(),
        nonce=random(NONCE_BYTES),
        payload=b"",
        signature=base64.b64decode(KNOWN["signature"]),
    )
    context = deposit.context
    vector = np.array(KNOWN["vector"])
    payload = wrap(vector, collection, key, context=context, random=random)
    deposit = replace(deposit, payload=payload)

    now = datetime.fromtimestamp(KNOWN["now"] / 1000, UTC)
    deposit.check(collection, certifier(Network(described["ca"].encode()), now=now))
    check_payload(payload, collection, key, context=context)

    assert collection.digest.hex() == KNOWN["collection_digest"]
    assert sha256(public.to_bytes()).hexdigest() == KNOWN["key_sha256"]
    assert context.hex() == KNOWN["context"]
    assert sha256(payload).hexdigest() == KNOWN["payload_sha256"]
    assert deposit.digest.hex() == KNOWN["deposit_sha256"]


@pytest.mark.parametrize("case", KNOWN["refused"], ids=lambda case: case["what"])
def test_what_not_all_holders_have_signed_is_refused(page: Page, case: dict[str, Any]) -> None:
    said = run(
        page,
        f"try {{ {OPEN} return null; }} catch (error) {{ return error.message; }}",
        {"now": KNOWN["now"], "b_seed": KNOWN["b_seed"], "described": KNOWN["described"], **case},
    )

    assert said in EXPECTED[case["what"]], said


EXPECTED = {
    "a holder is missing": {"a holder is missing"},
    "two holders change places": {"not the certificate of de-a"},
    "a signature of another holder": {"de-a has not signed this key"},
    "another sealing key than was signed": {"de-a has not signed this key"},
    "a certificate of another network": {
        "the certificate of de-a.registry.upcare is not of this network"
    },
    "a certificate of the platform": {"not the certificate of de-a.registry.upcare"},
    "a certificate of another registry": {"not the certificate of de-a.registry.upcare"},
    "another network": {"the collection is of another network"},
    "certificates have ended": {"the certificate of de-a.registry.upcare is not in force"},
    "certificates have not begun": {"the certificate of de-a.registry.upcare is not in force"},
    "another study": {"the collection is of another study"},
    "another collection": {"de-a has not signed this key"},
    "another seed of the joint key": {"de-a has not signed this key"},
    "another b of the joint key": {"de-a has not signed this key"},
}


@pytest.mark.parametrize("case", KNOWN["signatures"], ids=lambda case: case["der"][:16])
def test_signatures_are_written_as_der_and_read_again(page: Page, case: dict[str, str]) -> None:
    found = run(
        page,
        """
        const { raw, der } = given;
        return [m.hex(m.derSignature(m.unhex(raw))), m.hex(m.rawSignature(m.unhex(der)))];
        """,
        case,
    )

    assert found == [case["der"], case["raw"]]


@pytest.mark.parametrize("der", ["", "3006020101", "30060201010201020000", "3106020101020102"])
def test_what_is_no_signature_is_refused(page: Page, der: str) -> None:
    said = run(
        page,
        "try { m.rawSignature(m.unhex(given)); return 'taken'; } catch { return 'refused'; }",
        der,
    )

    assert said == "refused"


# --- both envelopes, opened by those who hold the keys --------------------------------------------


@pytest.mark.parametrize("envelope", ["rlwe", "sealed"])
@pytest.mark.parametrize(
    "answers", [{}, {"Smoked?": "once"}, {"Smoked?": "today", "Health?": "poor"}]
)
def test_what_holders_open_is_what_she_has_answered(
    page: Page, tmp_path: Path, envelope: str, answers: dict[str, str]
) -> None:
    text = study_text(registries=(), patients=True, envelope=envelope)
    world = Gathering.of(tmp_path, text + '[questionnaire]\ncross = [["Smoked?", "Health?"]]\n')
    joint = joint_key(world) if envelope == "rlwe" else None
    with world.client() as client:
        found = client.describe(world.collection.digest)
    prompts = {prompt.text: prompt for prompt in found.question.kind.prompts()}  # type: ignore[attr-defined]
    public = b"" if joint is None else joint.public.to_bytes()
    keys = [world.key_of(name, public=public) for name in HOLDERS]
    given = {
        "described": {
            "collection": _text(world.collection.canonical()),
            "study": _text(world.study.canonical()),
            "ca": world.network.ca_pem.decode(),
            "public": _text(public),
            "holders": [
                {
                    "certificate": world.identity(key.holder).certificate_pem.decode(),
                    "sealing": _text(key.sealing),
                    "signature": _text(key.signature),
                }
                for key in keys
            ],
        },
        "chosen": [
            prompt.options.index(answers[name]) if name in answers else None
            for name, prompt in prompts.items()
        ],
    }

    point = run(
        page,
        """
        const found = await m.openCollection(given.described, Date.now());
        const key = await m.newKey();
        const half = m.wrapped(found, m.answerVector(found.study, given.chosen), m.deviceRandom);
        window.begun = { found, key, half };
        return m.based(key.point);
        """,
        given,
    )
    ticket = world.ticket("de-a", base64.b64decode(point))
    certificate = world.identity("de-a").certificate_pem
    made = run(
        page,
        """
        const { found, key, half } = window.begun;
        const ticket = m.fromBase64(given.ticket);
        return m.based(await m.finished(found, half, key, ticket, given.pem, m.deviceRandom));
        """,
        {"ticket": _text(ticket.to_bytes()), "pem": certificate.decode()},
    )

    encoded = base64.b64decode(made)
    deposit = client.check(found, encoded)
    context = deposit.context
    check_payload(deposit.payload, world.collection, found.key, context=context)
    wanted = answer_vector(found.question.kind, answers)  # type: ignore[arg-type]
    if joint is not None:
        opened = signed(joint.decrypt(ciphertext_of(deposit.payload, world.collection)))
    else:
        shares = {
            place: open_share(
                deposit.payload,
                world.collection,
                world.sealing_key(name),
                place=place,
                context=context,
            )
            for place, name in enumerate(HOLDERS)
        }
        pairs = [{place: shares[place] for place in pair} for pair in ((0, 1), (0, 2), (1, 2))]
        every = [field.decode(field.open_shares(pair, threshold=1)) for pair in pairs]
        assert all(np.array_equal(one, every[0]) for one in every)
        opened = every[0].tolist()
    assert opened == wanted.tolist()
    client.send(found, encoded)
    assert world.deposits == [encoded]


def test_two_deposits_of_the_same_answers_have_nothing_in_common(page: Page) -> None:
    """Randomness is fresh: an envelope does not give away that two patients said the same."""
    given = {"described": KNOWN["described"], "b_seed": KNOWN["b_seed"], "now": KNOWN["now"]}

    one, other = run(
        page,
        OPEN
        + """
        const cells = m.answerVector(found.study, [0, 0]);
        const made = [0, 0].map(() => m.wrapped(found, cells, m.deviceRandom));
        return made.map((half) => m.based(half.encrypted.ciphertext));
        """,
        given,
    )

    blocks = [
        Ciphertext.from_bytes(base64.b64decode(made), cells=11).blocks[0] for made in (one, other)
    ]
    same = sum(x == y for x, y in zip(*blocks, strict=True)) / len(blocks[0])
    assert same < 0.01  # 1 in 256 octets, by chance


def test_a_broken_proof_would_be_seen(page: Page) -> None:
    """The tests above can fail: one bit of what the script makes, and Python refuses it."""
    case = HE["good"][0]
    proof = run(
        page,
        """
        const key = await m.publicKey(m.keyOf(given.key.seed, given.key.b_seed));
        const random = m.stream(given.random);
        const encrypted = m.encrypt(key, [-1n, 0n, 1n], random);
        const proof = await m.prove(key, encrypted, m.unhex(given.context), random);
        proof[100] ^= 1;
        return m.based(m.joined(
          new TextEncoder().encode("UDR1"), m.framed(encrypted.ciphertext, proof)));
        """,
        {**case, "key": HE["key"]},
    )
    wanted = replace(
        Collection.from_canonical(base64.b64decode(KNOWN["described"]["collection"])), cells=3
    )
    b = tuple(expand(bytes.fromhex(HE["key"]["b_seed"])))
    key = CollectionKey(public=PublicKey(bytes.fromhex(HE["key"]["seed"]), b), sealing=())

    with pytest.raises(ProtocolError, match="proof does not hold"):
        check_payload(base64.b64decode(proof), wanted, key, context=bytes.fromhex(case["context"]))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
