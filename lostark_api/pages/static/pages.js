// What pages can do more with a script. Without it they show the same, except for the theme switch.
"use strict";

const root = document.documentElement;
const lang = root.lang;

// Theme: the reader's choice outlives the page (theme.js applies it).
const button = document.querySelector(".theme");
button.hidden = false;
button.addEventListener("click", () => {
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* private windows keep nothing */ }
});

// Moments: how long ago, the exact one on hover.
const ago = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
const steps = [["minute", 60], ["hour", 3600], ["day", 86400], ["week", 604800]];
for (const time of document.querySelectorAll("time[datetime]")) {
  const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
  if (Number.isNaN(seconds) || Math.abs(seconds) > 5 * 604800) continue;
  const [unit, size] = steps.findLast(([, s]) => Math.abs(seconds) >= s) ?? steps[0];
  time.title = time.textContent;
  time.textContent = ago.format(Math.round(seconds / size), unit);
}

// Tables: a click on a head sorts by the value behind the text.
const value = (row, column) => {
  const cell = row.cells[column];
  if (!cell) return -Infinity;
  const text = cell.dataset.value ?? cell.textContent.trim();
  const figure = /^[+−-]?\d+:\d\d$/.test(text)
    ? text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0)
    : parseFloat(text.replaceAll(",", "").replace("−", "-"));
  return Number.isNaN(figure) || /^\d{4}-\d\d-\d\d/.test(text) ? text : figure;
};
for (const table of document.querySelectorAll("table[data-sort]")) {
  const heads = [...table.tHead.rows[0].cells];
  const sort = (head, column) => {
    const down = head.ariaSort !== "descending";
    for (const other of heads) other.ariaSort = "none";
    head.ariaSort = down ? "descending" : "ascending";
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [value(row, column), row]);
    rows.sort(([a], [b]) => {
      const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), lang);
      return down ? -order : order;
    });
    body.append(...rows.map(([, row]) => row));
  };
  heads.forEach((head, column) => {
    head.ariaSort = "none";
    head.tabIndex = 0;
    head.addEventListener("click", () => sort(head, column));
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(head, column); });
  });
}

// Charts: pictures become part of the page, take its theme, and tell their figures under the pointer.
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);
const show = (event) => {
  const mark = event.target.closest?.("[aria-label]");
  tip.hidden = !mark || mark.tagName === "svg" || mark.tagName === "g";
  if (tip.hidden) return;
  tip.textContent = mark.getAttribute("aria-label").replaceAll("; ", "\n");
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(event.clientX + 12, innerWidth - width - 8))}px`;
  tip.style.top = `${Math.max(8, event.clientY - height - 12)}px`;
};
const adopt = async (figure) => {
  const image = figure.querySelector("img");
  try {
    const source = figure.querySelector("source");
    const answer = await fetch(matchMedia(source.media).matches ? source.srcset : image.src);
    if (!answer.ok) throw new Error(answer.status);
    // Its own colours stay outside: the page has the same variables, and allows no style in its markup.
    const text = (await answer.text()).replace(/<style>.*?<\/style>/s, "");
    const drawn = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
    if (drawn.tagName !== "svg") throw new Error("no picture");
    drawn.setAttribute("role", "img");
    drawn.setAttribute("aria-label", image.alt);
    figure.replaceChildren(document.importNode(drawn, true));
    figure.addEventListener("pointermove", show);
    figure.addEventListener("pointerleave", () => { tip.hidden = true; });
  } catch {
    figure.classList.add("failed");
  }
};
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    adopt(target);
  }
}, { rootMargin: "300px" });
for (const figure of document.querySelectorAll("[data-chart]")) near.observe(figure);

// Uploads: the file goes as it is, the ticket is followed until nothing more will come of it.
const form = document.querySelector("[data-upload]");
if (form) {
  const said = JSON.parse(form.dataset.words);
  const panel = document.querySelector("[data-upload-state]");
  const text = panel.querySelector("[data-upload-text]");
  const list = panel.querySelector("[data-upload-list]");
  const progress = panel.querySelector("progress");
  const say = (words, share) => {
    panel.hidden = false;
    text.textContent = words;
    if (share === undefined) progress.removeAttribute("value"); else progress.value = share;
  };
  const item = (words, address) => {
    const line = document.createElement("li");
    const link = document.createElement(address ? "a" : "span");
    link.textContent = words;
    if (address) link.href = address;
    line.append(link);
    list.append(line);
  };
  const told = (ticket) => {
    list.replaceChildren();
    for (const fight of ticket.fights) {
      item(`${said.fight} ${fight.fight_id}`, `${form.dataset.fights.replace(/(\?|$)/, `/${encodeURIComponent(fight.fight_id)}$1`)}`);
    }
    for (const reason of ticket.reasons) item(`${reason.reason_code}: ${reason.count}. ${reason.what_to_do}`);
    for (const problem of ticket.problems) item(problem);
    if (ticket.error) item(ticket.error);
  };
  const follow = async (address) => {
    for (let wait = 1000; ; wait = Math.min(wait * 1.3, 10000)) {
      const answer = await fetch(address);
      if (answer.ok) {
        const ticket = await answer.json();
        told(ticket);
        say(said[ticket.state], ticket.is_final ? 1 : undefined);
        if (ticket.is_final) return;
      } else if (answer.status < 500) throw new Error(said.failed);
      await new Promise((go) => setTimeout(go, wait));
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [file] = form.elements.file.files;
    list.replaceChildren();
    if (file.size > Number(form.dataset.largest)) { say(said.large, 0); return; }
    const request = new XMLHttpRequest();
    request.open("POST", `/v1/battle-logs?name=${encodeURIComponent(file.name.slice(0, 200))}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    const key = form.elements.key.value.trim();
    if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);
    request.upload.addEventListener("progress", ({ loaded, total }) => say(said.sending, total ? loaded / total : undefined));
    request.addEventListener("error", () => say(said.failed, 0));
    request.addEventListener("load", () => {
      const answer = (() => { try { return JSON.parse(request.responseText); } catch { return {}; } })();
      if (request.status !== 202) {
        say(request.status === 401 || request.status === 403 ? said.key : said.failed, 0);
        if (answer.detail) item(answer.detail);
        return;
      }
      follow(request.getResponseHeader("Location")).catch((error) => say(error.message, 0));
    });
    say(said.sending, 0);
    request.send(file);
  });
}
