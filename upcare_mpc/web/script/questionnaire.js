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

/** What is answered, all of it. */
async function read(what, body) {
  const answer = await ask(what, body);
  return answer.json().catch(() => {
    throw new Said("failed"); // the line broke in the middle
  });
}

let worker = null; // has her key, which has to be the same if the ticket is asked for again

/** Ask the worker, and wait for its answer. */
function tell(message) {
  worker ??= new Worker("/script/worker.js", { type: "module" });
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
  const description = await read("key");
  const { point } = await tell({ description, chosen: chosen() });
  const { deposit: octets } = await tell(await read("ticket", point));
  return octets;
}

/** Hand in the octets; if they are there already, that is what the page then says. */
async function handIn(octets) {
  try {
    await ask("deposit", octets);
  } catch (error) {
    if (error.message !== "refused") throw error;
  }
  location.replace(place);
}

let deposit = null; // once it is made, the same octets are sent again

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  say("working");
  freeze(true);
  try {
    deposit ??= await made();
    await handIn(deposit);
  } catch (error) {
    say(error instanceof Said ? error.message : "unable");
    const again = error.message === "failed";
    button.disabled = !again;
    freeze(deposit !== null || !again); // what is encrypted stays as it is
  }
});

button.disabled = false;
