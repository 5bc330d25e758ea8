// The page of the reference stack: register, log in, plan a mission, log out. No framework, no state but the session.
const find = (id) => document.getElementById(id);

async function ask(method, path, body) {
  const headers = body ? { "content-type": "application/json" } : {};
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const content = await answer.json().catch(() => ({ error: `status ${answer.status}` }));
  if (!answer.ok) throw Object.assign(new Error(content.error), { status: answer.status });
  return content;
}

function say(text) {
  find("status").textContent = text;
}

// Every act reports its failure in the same place, in the words of the server.
function act(work) {
  return async (event) => {
    event.preventDefault();
    say("");
    try {
      await work(event);
    } catch (problem) {
      say(problem.message);
    }
  };
}

function show(name) {
  find("strangers").hidden = Boolean(name);
  find("crew").hidden = !name;
  find("name-shown").textContent = name ?? "";
}

async function listMissions() {
  const { missions } = await ask("GET", "/api/missions");
  const rows = missions.map((mission) => {
    const row = document.createElement("li");
    row.textContent = `${mission.title} (${new Date(mission.created_at * 1000).toLocaleString()})`;
    return row;
  });
  find("missions").replaceChildren(...rows);
}

async function enter(name) {
  show(name);
  await listMissions();
}

function credentials() {
  return { name: find("name").value, password: find("password").value };
}

find("strangers").addEventListener("submit", act(async (event) => {
  if (event.submitter?.value === "register") await ask("POST", "/api/register", credentials());
  const { name } = await ask("POST", "/api/login", credentials());
  find("password").value = "";
  await enter(name);
}));

find("plan").addEventListener("submit", act(async () => {
  await ask("POST", "/api/missions", { title: find("title").value });
  find("title").value = "";
  await listMissions();
}));

find("logout").addEventListener("click", act(async () => {
  await ask("POST", "/api/logout");
  find("missions").replaceChildren();
  show(null);
}));

ask("GET", "/api/session").then(({ name }) => enter(name)).catch((problem) => {
  show(null);
  if (problem.status !== 401) say(problem.message);
});
ask("GET", "/api/ping").then(({ replica, release }) => {
  find("served").textContent = `served by ${replica}, release ${release}`;
}).catch(() => say("the API does not answer"));
