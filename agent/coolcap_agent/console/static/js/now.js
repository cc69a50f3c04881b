// The numbers of the moment: what is wrong, powers and temperatures, cooling.

import { at, el, show } from "./dom.js";
import { clock, DASH, kw, quantity, span, words } from "./format.js";
import { openLever } from "./sheet.js";

const SEVERITY = { SEVERITY_INFO: 1, SEVERITY_WARNING: 2, SEVERITY_CRITICAL: 3 };
const SEVERITY_TEXT = { 1: "Note", 2: "Look at it today", 3: "Act now" };

export function showProblems(state) {
  const log = state.log.problem && !state.problems.some((p) => p.code === "telemetry_log")
    ? [{ severity: "SEVERITY_INFO", subject: "telemetry log", message: state.log.problem }] : [];
  const all = [...state.problems, ...log];
  show(at("problems"), all, () => all.map((problem) => {
    const level = SEVERITY[problem.severity] ?? 1;
    const since = problem.start_time ? ` (since ${clock(problem.start_time)})` : "";
    return el("div", { class: `problem s${level}` },
      el("b", {}, SEVERITY_TEXT[level]), el("span", {}, `${problem.subject}: ${problem.message}${since}`));
  }));
}

function tile(name, value, note, tone = "") {
  return el("div", { class: `tile ${tone}` }, el("span", {}, name), el("b", {}, value), el("span", {}, note));
}

export function showTiles({ state, layout }) {
  const { power, meters, agents } = state;
  const inlet = state.inlet_temp_max_c;
  const margin = inlet === null ? null : layout.inlet_temp_max_c - inlet;
  const marginTone = margin === null ? "" : margin < 0 ? "bad" : margin < 1 ? "warn" : "";
  const covered = meters?.coverage_ratio ?? 0;
  const run = meters ? span((new Date(meters.end_time) - new Date(meters.start_time)) / 1000) : "";
  const full = covered > 0.995 ? "" : `, ${(100 * covered).toFixed(1)} % covered`;
  const perWork = meters?.energy_per_work_kwh_per_gpu_h;
  const tiles = [
    ["Facility power", kw(power.facility_power_w), `IT ${kw(power.it_power_w)}, cooling ${kw(power.cooling_power_w)}`],
    ["Most IT can draw", kw(power.it_power_bound_w), "whatever runs, under these caps"],
    ["Hottest inlet", quantity(inlet, "°C"), margin === null ? "not known" : `${margin.toFixed(1)} K below the limit`, marginTone],
    ["PUE", meters?.pue ? meters.pue.toFixed(3) : DASH, meters?.pue ? `over ${run}${full}` : "nothing measured yet"],
    ["Energy per work", perWork ? `${perWork.toFixed(3)}` : DASH, "kWh per GPU·h of work"],
    ["Agents", `${agents.live} of ${agents.count}`, `${agents.leased} leases held`, agents.live < agents.count ? "warn" : ""],
  ];
  show(at("tiles"), tiles, () => tiles.map((one) => tile(...one)));
}

export function showCooling({ state, layout }) {
  const byName = Object.fromEntries(state.levers.map((lever) => [lever.lever, lever]));
  const levers = layout.levers.map(({ name, unit }) => {
    const { setpoint_requested: asked, setpoint_effective: now, message } = byName[name] ?? {};
    return [name, quantity(now ?? asked, unit), message || (asked === undefined ? "left to the plant" : "commanded")];
  });
  show(at("levers"), levers, () => levers.map(([name, value, note]) => el("button", {
    class: "lever card", type: "button", onclick: () => openLever(name),
  }, el("span", {}, words(name.replace("_setpoint", ""))), el("b", {}, value), el("span", {}, note))));
  const known = layout.plant.filter(({ name }) => state.plant[name] !== null);
  const readings = known.map(({ name, unit }) => [words(name), quantity(state.plant[name], unit)]);
  show(at("plant"), readings, () => readings.map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}
