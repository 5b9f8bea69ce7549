// The page of a questionnaire: reads the form, has a deposit made, and hands it in.
//
// All that is said stands in the page, hidden, in its language: `data-said` names when.

const form = document.querySelector("form[data-place]");
const button = form.querySelector("button");
const { place, proof } = form.dataset;

class Said extends Error {}

function say(name) {
  for (const one of document.querySelectorAll("[data-said]")) {
    one.hidden = one.dataset.said !== name;
  }
}

/** For each question the place of the option that is chosen, or null. */
function chosen() {
  return [...form.querySelectorAll("fieldset")].map((question) => {
    const { value } = question.querySelector("input:checked");
    return value === "" ? null : Number(value);
  });
}

function freeze(disabled) {
  for (const question of form.querySelectorAll("fieldset")) question.disabled = disabled;
}

async function ask(what, body) {
  let answer;
  try {
    answer = await fetch(`${place}/${what}`, {
      method: body ? "POST" : "GET",
      redirect: "manual", // to where a code is typed, if the visit is over
      headers: body ? { "x-proof": proof, "content-type": "application/octet-stream" } : {},
      body,
    });
  } catch {
    throw new Said("failed");
  }
  if (answer.type === "opaqueredirect") throw new Said("over");
  if (answer.status === 404 || answer.status === 409) throw new Said("refused");
  if (!answer.ok) throw new Said("failed");
  return answer;
}

/** Ask the worker, and wait for its answer. */
function tell(worker, message) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      if (data.failed) {
        console.error(data.failed);
        reject(new Said("untrusted"));
      } else {
        resolve(data);
      }
    };
    worker.onerror = () => reject(new Said("unable"));
    worker.postMessage(message);
  });
}

async function made() {
  const worker = new Worker("/script/worker.js", { type: "module" });
  try {
    const description = await (await ask("key")).json();
    const { point } = await tell(worker, { description, chosen: chosen() });
    const given = await (await ask("ticket", point)).json();
    return (await tell(worker, given)).deposit;
  } finally {
    worker.terminate();
  }
}

let deposit = null; // once it is made, the same octets are sent again

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  say("working");
  freeze(true);
  try {
    deposit ??= await made();
    await ask("deposit", deposit);
    location.replace(place);
  } catch (error) {
    say(error instanceof Said ? error.message : "unable");
    const again = error.message === "failed";
    button.disabled = !again;
    freeze(deposit !== null || !again); // what is encrypted stays as it is
  }
});

button.disabled = false;
