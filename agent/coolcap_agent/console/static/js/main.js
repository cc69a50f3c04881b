// Puts the page together: who one is, which page is shown, and what the controller says.

import { follow, get } from "./api.js";
import { showBudgets } from "./budgets.js";
import { showDecisions, showEvents } from "./lists.js";
import { at, el, show } from "./dom.js";
import { clock, day } from "./format.js";
import { buildHall, showHall } from "./hall.js";
import { showHistory } from "./history.js";
import { MODES, modeName } from "./modes.js";
import { askForMode } from "./mode_dialog.js";
import { showCooling, showProblems, showTiles } from "./now.js";
import { openSession, signInOrOut } from "./session.js";
import { buildSheet } from "./sheet.js";

const PAGES = ["now", "history", "decisions", "events", "budgets"];
const world = { session: null, layout: null, state: null };

function page() {
  const name = location.hash.slice(1);
  return PAGES.includes(name) ? name : "now";
}

function turnTo() {
  for (const name of PAGES) at(name).hidden = name !== page();
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${page()}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  refresh();
}

function showHead(state) {
  const mode = modeName(state.mode);
  document.title = `${mode} · ${state.site}`;
  at("site").textContent = state.site;
  at("clock").textContent = `${day(state.time_s)}, ${clock(state.time_s)} UTC`;
  const pill = at("mode");
  pill.textContent = mode;
  pill.className = `pill ${MODES[mode]?.tone ?? ""}`;
  show(at("mode-text"), [mode, state.mode_reason], () => [
    `${MODES[mode]?.text ?? ""} `, el("span", { class: "soft" }, `Because: ${state.mode_reason}`),
  ]);
}

let listsOf = -1;

// What is not sent with every tick is asked for when the page that shows it is open.
async function refresh() {
  const { state } = world;
  if (!state) return;
  showHead(state);
  if (page() === "now") {
    showProblems(state);
    showTiles(world);
    showHall(world);
    showCooling(world);
  }
  if (page() === "budgets") showBudgets(world);
  if (page() === "history") await showHistory(world);
  const tick = `${page()} ${state.loop.tick_count} ${state.mode} ${state.problems.length}`;
  if (tick === listsOf) return;
  listsOf = tick;
  if (page() === "decisions") await showDecisions(world);
  if (page() === "events") await showEvents(world);
}

async function start() {
  world.session = await openSession();
  at("change-mode").hidden = !world.session.control;
  at("sign").addEventListener("click", () => signInOrOut(world.session));
  if (!world.session.read) return;
  world.layout = await get("/api/layout");
  at("change-mode").addEventListener("click", () => askForMode(world));
  buildHall(world);
  buildSheet(world);
  follow(
    (state) => { world.state = state; refresh(); },
    (lost) => { at("lost").hidden = !lost; document.body.classList.toggle("stale", lost); },
  );
}

addEventListener("hashchange", turnTo);
turnTo();
start();
