// Progressive enhancement: without scripts the pages show the same, except for the theme switch.
"use strict";

const root = document.documentElement;
const lang = root.lang;

// Theme: the reader's choice outlives the page (theme.js applies it).
const button = document.querySelector(".theme");
button.hidden = false;
button.addEventListener("click", () => {
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* storage may be disabled */ }
});

// Times: relative, with the exact time on hover.
const ago = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
const steps = [["minute", 60], ["hour", 3600], ["day", 86400], ["week", 604800]];
const showAge = (time) => {
  const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
  if (Number.isNaN(seconds) || Math.abs(seconds) > 5 * 604800) return;
  const [unit, size] = steps.findLast(([, s]) => Math.abs(seconds) >= s) ?? steps[0];
  time.title ||= time.textContent;
  time.textContent = ago.format(Math.round(seconds / size), unit);
};
document.querySelectorAll("time[datetime]").forEach(showAge);

// Tables: a click on a header cell sorts by the cells' data-value.
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

// Status: what waits is updated in place.
const backlog = document.querySelector("[data-backlog]");
if (backlog) {
  const rate = (logs) => logs.toLocaleString(lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const figures = {
    words: (words) => words,
    oldest_waits_s: (seconds) => `${Math.floor(seconds / 60)}:${String(Math.round(seconds) % 60).padStart(2, "0")}`,
    logs_in_per_minute: rate,
    logs_out_per_minute: rate,
  };
  setInterval(async () => {
    const response = await fetch(`/v1/status?lang=${lang}`).catch(() => null);
    if (!response?.ok) return;
    const now = (await response.json()).backlog;
    for (const element of backlog.querySelectorAll("[data-figure]")) {
      const value = now[element.dataset.figure];
      element.textContent = value === null ? "–" : (figures[element.dataset.figure] ?? ((count) => count.toLocaleString(lang)))(value);
    }
    backlog.querySelector("b").classList.toggle("bad", ["falling_behind", "unknown"].includes(now.state));
    const time = backlog.querySelector("time");
    if (time && now.observed_at) { time.dateTime = now.observed_at; showAge(time); }
  }, 10000);
}

// Charts: images are inlined as SVG, take the page's theme, and show values under the pointer.
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
const inlineChart = async (figure) => {
  const image = figure.querySelector("img");
  try {
    const source = figure.querySelector("source");
    const response = await fetch(matchMedia(source.media).matches ? source.srcset : image.src);
    if (!response.ok) throw new Error(response.status);
    // Its own <style> is dropped: the page defines the same variables, and its CSP allows no inline style.
    const text = (await response.text()).replace(/<style>.*?<\/style>/s, "");
    const svg = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
    if (svg.tagName !== "svg") throw new Error("not an SVG");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", image.alt);
    figure.replaceChildren(document.importNode(svg, true));
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
    inlineChart(target);
  }
}, { rootMargin: "300px" });
for (const figure of document.querySelectorAll("[data-chart]")) near.observe(figure);

// Uploads: the file is sent unchanged, and its ticket is polled until its state is final. The ticket is in the
// URL's fragment, so that a reader can come back to it.
const form = document.querySelector("[data-upload]");
if (form) {
  const texts = JSON.parse(form.dataset.texts);
  const panel = document.querySelector("[data-upload-state]");
  const [text, wait, logs, list, keep] = ["text", "wait", "logs", "list", "keep"].map((name) => panel.querySelector(`[data-upload-${name}]`));
  const progress = panel.querySelector("progress");
  const send = form.querySelector("button");
  const tickets = "/v1/battle-logs/tickets/";
  let followed = "";
  const showState = (message, share) => {
    panel.hidden = false;
    text.textContent = message;
    if (share === undefined) progress.removeAttribute("value"); else progress.value = share;
  };
  const clear = () => { list.replaceChildren(); wait.textContent = logs.textContent = ""; keep.hidden = true; };
  const item = (message, address, language) => {
    const line = document.createElement("li");
    const link = document.createElement(address ? "a" : "span");
    link.textContent = message;
    if (address) link.href = address;
    if (language) link.lang = language;
    line.append(link);
    list.append(line);
  };
  const report = (fight) => form.dataset.fights.replace(/(\?|$)/, `/${encodeURIComponent(fight.fight_id)}$1`);
  const describeFight = (fight) => [
    fight.raid_label ? [fight.raid_label, fight.gate_label].filter(Boolean).join(" ") : fight.boss_label ?? "?",
    fight.difficulty_label,
    fight.is_cleared === null ? "" : fight.is_cleared ? texts.won : texts.lost,
    new Date(fight.fight_started_at).toLocaleString(lang, { dateStyle: "medium", timeStyle: "short" }),
  ].filter(Boolean).join(" · ");
  const showTicket = (ticket) => {
    clear();
    keep.hidden = false;
    wait.textContent = [
      ticket.uploads_before ? texts.before.replace("{n}", ticket.uploads_before.toLocaleString(lang)) : "",
      ticket.estimate ? texts.expected.replace("{when}", ticket.estimate) : "",
      ticket.is_final || ticket.backlog.words === ticket.estimate ? "" : texts.platform.replace("{state}", ticket.backlog.words),
    ].filter(Boolean).join(" ");
    if (ticket.logs.found !== null) logs.textContent = texts.logs.replace(/\{(\w+)\}/g, (_, name) => ticket.logs[name].toLocaleString(lang));
    const fights = [...new Map(ticket.fights.map((fight) => [fight.fight_id, fight])).values()];
    for (const fight of fights) item(describeFight(fight), report(fight));
    if (ticket.fight_count > fights.length) item(texts.more.replace("{n}", ticket.fight_count.toLocaleString(lang)), form.dataset.fights);
    for (const { reason_code: code, count, what_to_do: advice } of ticket.reasons) item(`${texts[`reason.${code}`] ?? advice} (${code}: ${count})`);
    for (const problem of ticket.problems) item(problem, "", "en");
    if (ticket.error) item(ticket.error, "", "en");
  };
  const follow = async (ticket) => {
    followed = ticket;
    // Usually it takes seconds: polled every second at first, then ever more slowly.
    for (let polls = 0; followed === ticket; polls += 1) {
      const response = await fetch(`${tickets}${ticket}?lang=${lang}`).catch(() => null);
      if (followed !== ticket) return;
      if (response?.ok) {
        const now = await response.json();
        showTicket(now);
        showState(texts[now.state], now.is_final ? 1 : undefined);
        if (now.is_final) return;
      } else if (response && response.status < 500) { clear(); showState(texts.unknown, 0); return; }
      await new Promise((go) => setTimeout(go, polls < 20 ? 1000 : Math.min(1000 * 1.3 ** (polls - 19), 10000)));
    }
  };
  const followAddress = () => {
    const [, ticket] = location.hash.match(/^#ticket=([0-9a-f]{32})$/) ?? [];
    if (ticket && ticket !== followed) follow(ticket);
  };
  const explain = (status) => ({ 401: texts.key, 403: texts.key, 408: texts.slow, 413: texts.large, 415: texts.not_ours, 422: texts.not_ours, 429: texts.later, 503: texts.later })[status] ?? texts.failed;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [file] = form.elements.file.files;
    followed = "";
    clear();
    if (file.size > Number(form.dataset.maxBytes)) { showState(texts.large, 0); return; }
    const query = new URLSearchParams({ name: file.name.slice(0, 200) });
    for (const name of ["raid", "gate", "boss", "difficulty", "region"]) {
      const value = form.elements[name].value.trim();
      if (value) query.set(name, value);
    }
    const request = new XMLHttpRequest();
    request.open("POST", `/v1/battle-logs?${query}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    const key = form.elements.key.value.trim();
    if (key) request.setRequestHeader("Authorization", `Bearer ${key}`);
    request.upload.addEventListener("progress", ({ loaded, total }) => showState(texts.sending, total ? loaded / total : undefined));
    request.addEventListener("error", () => showState(texts.failed, 0));
    request.addEventListener("loadend", () => { send.disabled = false; });
    request.addEventListener("load", () => {
      const response = (() => { try { return JSON.parse(request.responseText); } catch { return {}; } })();
      if (request.status !== 202) {
        showState(explain(request.status), 0);
        if (response.detail) item(response.detail, "", "en");
        return;
      }
      history.replaceState(null, "", `#ticket=${response.ticket}`);
      follow(response.ticket);
    });
    send.disabled = true;
    showState(texts.sending, 0);
    request.send(file);
  });
  addEventListener("hashchange", followAddress);
  followAddress();
}
