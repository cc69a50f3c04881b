// The sheet that says why: one control group or one setpoint, its last changes and the way of its value.

import { call, get, Refused } from "./api.js";
import { at, el } from "./dom.js";
import { clock, DASH, quantity, unitOf, words } from "./format.js";
import { overrideForm } from "./override.js";

const STEPS = [
  ["in_force", "Before"], ["baseline", "The rule alone"], ["policy", "The policy asked"],
  ["shielded", "Allowed by limits"], ["commanded", "Sent"], ["read_back", "The device holds"],
];
let world = null;

export function buildSheet(theWorld) {
  world = theWorld;
  const sheet = at("sheet");
  sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });
}

export const openGroup = (group, time) => open({ group }, time);
export const openLever = (lever, time) => open({ lever }, time);

async function open(subject, time) {
  const name = subject.group ?? subject.lever;
  const title = subject.group ? `Power cap of ${name}` : words(name);
  const body = el("div", {}, el("p", { class: "soft" }, "looking it up"));
  at("sheet").replaceChildren(
    el("div", { class: "dialog-head" },
      el("h2", { id: "sheet-title" }, title),
      el("button", { type: "button", onclick: () => at("sheet").close() }, "Close")),
    body);
  if (!at("sheet").open) at("sheet").showModal();
  await fill(body, subject, time);
}

async function fill(body, subject, time) {
  try {
    const changes = subject.group ? (await get(`/api/changes?group=${encodeURIComponent(subject.group)}`)).changes : [];
    // Without a time: the decision that brought the cap to where it is.
    const when = time ?? changes[0]?.time;
    const decision = await call("GetDecision", when ? { ...subject, time: when } : subject);
    const parts = [explained(decision, changes.find((change) => change.time === when))];
    if (world.session.control) parts.push(overrideForm(world, subject, () => fill(body, subject, time)));
    if (changes.length) parts.push(el("h3", {}, "Last changes"), changeList(changes, when, body, subject));
    body.replaceChildren(...parts);
    at("sheet").scrollTop = 0;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    body.replaceChildren(el("p", { class: "headline" }, "Nothing to explain yet"), el("p", {}, error.message));
  }
}

function headline(step, unit, change) {
  const from = change?.from_w ?? step.in_force;
  const to = change?.to_w ?? step.commanded ?? step.shielded;
  if (from === undefined || from === null || to === undefined || to === null) return `It is ${quantity(step.read_back ?? step.shielded, unit)}`;
  const same = Math.abs(to - from) < (unit === "W" ? 1 : 0.005);
  if (same) return `Stays at ${quantity(to, unit)}`;
  return `${to < from ? "Lowered" : "Raised"} from ${quantity(from, unit)} to ${quantity(to, unit)}`;
}

function explained(decision, change) {
  const [step] = decision.steps;
  const unit = unitOf(step.name);
  const values = STEPS.map(([key, text]) => [text, step[key]]).filter(([, value]) => value !== undefined);
  const [low, high] = rangeOf(decision, values.map(([, value]) => value));
  const sent = ["MODE_OFF", "MODE_SHADOW", "MODE_ADVISE"].includes(decision.mode) ? "Would be " : "";
  const text = headline(step, unit, change);
  return el("div", {},
    el("p", { class: "headline" }, sent ? `${sent}${text.toLowerCase()} (nothing was sent)` : text),
    el("p", { class: "soft" }, `Decision ${decision.decision_id} at ${clock(decision.tick_time)} UTC`),
    el("h3", {}, "Why"),
    el("ol", { class: "why" }, step.reasons.map((reason) => el("li", {}, sentence(reason.message)))),
    el("h3", {}, "Step by step"),
    el("ul", { class: "steps" }, values.map(([name, value]) => {
      const dot = el("i");
      dot.style.setProperty("--x", `${(100 * (value - low) / (high - low)).toFixed(1)}%`);
      return el("li", { class: name === "Sent" || name === "The device holds" ? "done" : "" },
        el("span", {}, name), el("span", { class: "way" }, dot), el("b", {}, quantity(value, unit)));
    }), el("li", { class: "ends" }, el("span"), el("span", {}, el("span", {}, quantity(low, unit)), el("span", {}, quantity(high, unit))), el("span"))),
    ...influences(decision, unit),
    inputs(decision));
}

// The ends of the scale: what the device allows, or some room around the values.
function rangeOf(decision, values) {
  const n = world.layout.groups.indexOf(decision.group);
  if (n >= 0) return [world.layout.power_limit_min_w[n], world.layout.power_limit_max_w[n]];
  const low = Math.min(...values);
  const high = Math.max(...values);
  const room = Math.max(high - low, 0.02 * Math.abs(high), 0.02);
  return [low - room, high + room];
}

const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}.` : "");

function influences(decision, unit) {
  const strongest = (decision.influences ?? []).slice(0, 4).filter((one) => one.effect);
  if (!strongest.length) return [];
  const sign = (value) => `${value > 0 ? "+" : "−"}${quantity(Math.abs(value), unit)}`;
  return [el("h3", {}, "What moved the policy"), el("dl", { class: "facts" }, strongest.flatMap((one) => [
    el("dt", {}, words(one.name)), el("dd", {}, `${sign(one.effect)}, as it is ${quantity(one.value, unitOf(one.name))}`)]))];
}

function inputs(decision) {
  return el("details", {}, el("summary", {}, "What the policy saw"),
    el("dl", { class: "facts" }, decision.features.flatMap((one) => [
      el("dt", {}, words(one.name)),
      el("dd", {}, one.value === undefined ? DASH : quantity(one.value, unitOf(one.name)))])));
}

function changeList(changes, when, body, subject) {
  return el("ol", { class: "changes" }, changes.map((change) => {
    const by = change.to_w - change.from_w;
    const why = change.reasons.map((code) => world.layout.reasons[code] ?? code).join("; ");
    return el("li", {}, el("button", {
      type: "button", "aria-current": change.time === when ? "true" : undefined,
      onclick: () => fill(body, subject, change.time),
    }, el("time", { class: "soft" }, clock(change.time)),
    el("span", {}, `${quantity(change.from_w, "W")} to ${quantity(change.to_w, "W")}`,
      why ? el("span", { class: "soft" }, ` ${why}`) : ""),
    el("b", { class: by < 0 ? "down" : "up" }, `${by < 0 ? "−" : "+"}${Math.abs(by).toFixed(0)} W`)));
  }));
}
