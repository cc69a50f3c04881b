// Decisions and events, the newest first.

import { get } from "./api.js";
import { at, el, show } from "./dom.js";
import { clock, day, quantity, words } from "./format.js";
import { openLever } from "./sheet.js";

const ACTORS = {
  policy: "Policy", rule: "Rule alone", safe: "Safe values", hold: "Hold", guard: "Guard", person: "Person",
};

const many = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

function decisionText(row) {
  const parts = [];
  if (row.lowered) parts.push(`lowered ${many(row.lowered, "cap")}`);
  if (row.raised) parts.push(`raised ${many(row.raised, "cap")}`);
  let text = parts.join(" and ") || "left the caps as they are";
  if (row.change_w) text += ` (${row.change_w < 0 ? "−" : "+"}${quantity(Math.abs(row.change_w), "W")} in all)`;
  const would = row.sent ? "" : "Would have: ";
  const said = would ? text : `${text[0].toUpperCase()}${text.slice(1)}`;
  return `${would}${said}${row.failure ? `. ${row.failure}` : ""}`;
}

export async function showDecisions({ layout }) {
  const { decisions } = await get("/api/decisions");
  show(at("decision-list"), decisions.map((row) => [row.number, row.time, row.actor]), () => {
    if (!decisions.length) return el("li", { class: "empty" }, "No decision yet. Decisions are made in every mode but off.");
    return decisions.map((row) => el("li", {},
      el("time", { dateTime: row.time }, clock(row.time)),
      el("span", { class: "tag" }, ACTORS[row.actor] ?? row.actor),
      el("div", {}, decisionText(row), el("div", { class: "chips" },
        row.levers.map((lever) => el("button", {
          class: "chip", type: "button", onclick: () => openLever(lever.name, row.time),
        }, `${words(lever.name.replace("_setpoint", ""))} ${quantity(lever.from, lever.unit)} to ${quantity(lever.to, lever.unit)}`)),
        row.reasons.map((code) => el("span", { class: "chip" }, layout.reasons[code] ?? code)),
        row.refusals ? el("span", { class: "chip" }, `${many(row.refusals, "device")} did not take it`) : ""))));
  });
}

export async function showEvents() {
  const { events } = await get("/api/events");
  show(at("event-list"), events.map((one) => [one.time_s, one.code, one.subject, one.active]), () => {
    if (!events.length) return el("li", { class: "empty" }, "Nothing has happened since the controller started.");
    return events.map((one) => el("li", {},
      el("time", { title: day(one.time_s) }, clock(one.time_s)),
      el("span", { class: `tag ${one.active ? `s${one.severity}` : "over"}` },
        one.active ? words(one.code) : `${words(one.code)}: over`),
      el("span", {}, `${one.subject}: ${one.message}`)));
  });
}
