"use strict";

const main = document.querySelector("main");
const show = (id, text) => { document.getElementById(id).textContent = text; };
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

// The token stays in this variable, not in localStorage or a cookie. A page that is loaded again asks again, and gets the
// same token while that is good. After a broken connection the page keeps its token: the number of tokens an hour is
// limited.
let token = null;
let until = 0;  // by this page's clock

async function vended() {
  const answer = await fetch("/token", { method: "POST", headers: { "X-Requested-With": "fetch" } });
  if (answer.status === 429 || answer.status === 503) {
    await pause(Number(answer.headers.get("Retry-After") || 5));
    return vended();
  }
  if (!answer.ok) throw new Error((await answer.json()).error_description);
  return answer.json();
}

async function describe(given) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(given.access_token)));
  const fingerprint = [...digest.slice(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const key = "the token's fingerprint for " + main.dataset.person;
  const before = sessionStorage.getItem(key);
  sessionStorage.setItem(key, fingerprint);
  show("reused", before === null ? "this is the first load" : before === fingerprint ? "the same token" : "a new token");
  show("scope", given.scope);
  show("expires", `${Math.floor(given.expires_in / 60)} min ${given.expires_in % 60} s`);
  show("fingerprint", fingerprint);
}

function draw(orders) {
  document.getElementById("orders").replaceChildren(...orders.sort((a, b) => b.number - a.number).map(({ number, step }) => {
    const row = document.createElement("tr");
    row.dataset.step = step;
    for (const text of [`No. ${number}`, step]) row.insertCell().textContent = text;
    return row;
  }));
}

// Server-sent events by fetch, since EventSource cannot send an Authorization header, and a token must not be in a URL.
async function subscribe() {
  const answer = await fetch(main.dataset.orders, { headers: { Authorization: `Bearer ${token}` } });
  if (answer.status === 401) until = 0;
  if (!answer.ok) throw new Error(`the orders API said ${answer.status}`);
  show("state", "live");
  let text = "";
  for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (text + value).split("\n\n");
    text = events.pop();
    for (const event of events) if (event.startsWith("data: ")) draw(JSON.parse(event.slice(6)));
  }
}

document.getElementById("publish").addEventListener("click", async () => {
  const order = { method: "POST", body: JSON.stringify({ number: 999, step: "delivered" }) };
  order.headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const answer = await fetch(main.dataset.orders, order);
  const { error } = await answer.json();
  show("published", answer.ok ? "The API accepted it!" : `Refused: ${answer.status} ${error}`);
});

async function watch() {
  for (let failures = 0; ; failures += 1) {
    try {
      if (Date.now() >= until) {
        const given = await vended();
        token = given.access_token;
        until = Date.now() + 1000 * given.expires_in;
        await describe(given);
        document.getElementById("publish").disabled = false;
      }
      await subscribe();
      failures = 0;
    } catch (problem) {
      show("state", problem.message);
    }
    await pause(Math.min(2 ** failures, 60));
  }
}

if (main.dataset.person) watch();
