// The hall: racks coloured by their inlet, GPUs by power and cap. Built once, then only its numbers change.

import { at, el } from "./dom.js";
import { kw, quantity } from "./format.js";
import { openGroup } from "./sheet.js";

const STEP_K = 1.5;
const STEPS = 6;
const OPEN_AT_MOST = 160; // groups; in a larger hall racks open one by one
const hall = { racks: [], groups: [], firstGpu: [] };

// 0: far below the limit; 5: at it or above.
function heat(inlet, limit) {
  if (inlet === null) return null;
  return Math.max(0, Math.min(STEPS - 1, STEPS - 1 - Math.floor((limit - inlet) / STEP_K)));
}

export function buildHall(world) {
  const { layout } = world;
  let gpu = 0;
  hall.firstGpu = layout.gpu_counts.map((count) => { const first = gpu; gpu += count; return first; });
  const large = layout.groups.length > OPEN_AT_MOST;
  at("hall").classList.toggle("many", layout.gpu_counts.some((count) => count > 4) || gpu > 64);
  hall.racks = layout.racks.map((rack) => buildRack(world, rack, large));
  at("hall").replaceChildren(...hall.racks.map((rack) => rack.node));
  const detail = (event) => {
    const group = event.target.closest?.(".group");
    if (!group || !world.state) return;
    const text = groupText(world, Number(group.dataset.n));
    group.setAttribute("aria-label", text);
    at("detail").textContent = text;
  };
  at("hall").addEventListener("pointerover", detail);
  at("hall").addEventListener("focusin", detail);
  at("hall").addEventListener("click", (event) => {
    const group = event.target.closest(".group");
    if (group) openGroup(layout.groups[Number(group.dataset.n)]);
  });
  at("hall").addEventListener("keydown", moveFocus);
  buildLegend(layout);
}

function buildRack(world, rack, large) {
  const inlet = el("span", {});
  const nodes = el("div", { class: "nodes" });
  const fill = () => {
    if (nodes.childElementCount) return;
    nodes.append(...rack.nodes.map((node) => el("div", { class: "node" },
      el("span", { title: node.name }, node.name),
      el("div", { class: "groups" }, node.groups.map((n) => buildGroup(world, n))))));
    if (world.state) showHall(world);
  };
  const head = [el("b", {}, rack.name), inlet];
  if (!large) {
    fill();
    const top = el("div", { class: "rack-head" }, head);
    return { top, inlet, node: el("div", { class: "rack card" }, top, nodes) };
  }
  const top = el("summary", {}, head);
  const node = el("details", { class: "rack card", ontoggle: fill }, top, nodes);
  return { top, inlet, node };
}

function buildGroup({ layout }, n) {
  const bars = Array.from({ length: layout.gpu_counts[n] }, () => el("span", { class: "gpu" }));
  const node = el("button", { class: "group", type: "button", "data-n": n, "aria-label": layout.groups[n] }, bars);
  hall.groups[n] = { node, bars };
  return node;
}

function groupText({ state, layout }, n) {
  const first = hall.firstGpu[n];
  const range = Array.from({ length: layout.gpu_counts[n] }, (_, i) => first + i);
  const known = (list) => range.map((i) => list[i]).filter((value) => value !== null);
  const mean = (list) => (known(list).length ? known(list).reduce((a, b) => a + b, 0) / known(list).length : null);
  const { power_w: power, limit_w: limit, temp_c: temp } = state.gpus;
  const hottest = known(temp).length ? Math.max(...known(temp)) : null;
  const unfit = state.groups.fit[n] ? "" : ", its readings cannot be used";
  return `${layout.groups[n]}: ${quantity(mean(power), "W")} of a cap of ${quantity(mean(limit), "W")} per GPU, `
    + `${quantity(hottest, "°C", 0)}${unfit}`;
}

const COOL = [91, 148, 209];
const WARM = [214, 122, 58];

// Warmer colour nearer to the cap: the GPU is held back by it.
function shade(power, cap) {
  const near = cap ? Math.max(0, Math.min(1, (power / cap - 0.8) / 0.2)) : 0;
  return `rgb(${COOL.map((c, i) => Math.round(c + near * (WARM[i] - c))).join(" ")})`;
}

export function showHall({ state, layout }) {
  hall.racks.forEach((rack, r) => {
    const inlet = state.racks.inlet_c[r];
    const step = heat(inlet, layout.inlet_temp_max_c);
    const kind = step === null ? "" : ` heat-${step}`;
    rack.top.className = (rack.top.tagName === "SUMMARY" ? "" : "rack-head") + kind;
    rack.inlet.textContent = `inlet ${quantity(inlet, "°C")} · ${kw(state.racks.power_w[r])}`;
  });
  const overridden = new Set((state.overrides ?? []).map((one) => one.group));
  hall.groups.forEach(({ node, bars }, n) => {
    node.className = `group${state.groups.fit[n] ? "" : " unfit"}${overridden.has(layout.groups[n]) ? " overridden" : ""}`;
    const most = layout.power_limit_max_w[n];
    bars.forEach((bar, i) => {
      const gpu = hall.firstGpu[n] + i;
      const power = state.gpus.power_w[gpu];
      const cap = state.gpus.limit_w[gpu];
      bar.style.setProperty("--p", `${power === null ? 0 : (100 * power / most).toFixed(0)}%`);
      bar.style.setProperty("--c", `${cap === null ? 100 : (100 * cap / most).toFixed(0)}%`);
      bar.style.setProperty("--f", shade(power, cap));
    });
  });
}

// Arrow keys go from group to group; Tab leaves the hall as quickly as any list.
function moveFocus(event) {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const group = event.target.closest?.(".group");
  if (!by || !group) return;
  const all = [...at("hall").querySelectorAll(".group")];
  const next = all[all.indexOf(group) + by];
  if (next) { next.focus(); event.preventDefault(); }
}

function mark(colour) {
  const node = el("i", { class: "mark" });
  node.style.background = `rgb(${colour.join(" ")})`;
  return node;
}

function buildLegend(layout) {
  const scale = Array.from({ length: STEPS }, (_, i) => el("i", { class: `heat-${i}` }));
  const sample = el("span", { class: "gpu" });
  sample.style.setProperty("--p", "55%");
  sample.style.setProperty("--c", "72%");
  at("legend").replaceChildren(
    el("span", { class: "scale" }, `inlet ${(layout.inlet_temp_max_c - STEP_K * (STEPS - 1)).toFixed(1)} °C or less `,
      scale, ` limit ${layout.inlet_temp_max_c.toFixed(0)} °C`),
    el("span", {}, sample, "power, cap, and what the cap keeps away"),
    el("span", {}, mark(COOL), "below its cap"), el("span", {}, mark(WARM), "held back by it"));
}
