// Holding one value for a while, by a person's decision.

import { call, Refused } from "./api.js";
import { el, say } from "./dom.js";
import { quantity, unitOf, words } from "./format.js";

export function overrideForm(world, subject, done) {
  const name = subject.group ?? subject.lever;
  const unit = subject.group ? "W" : unitOf(name);
  const held = (world.state?.overrides ?? []).find((one) => (one.group ?? one.lever) === name);
  const asRatio = unit === "1";
  const value = el("input", { type: "number", step: "any", required: true, id: "o-value" });
  const minutes = el("input", { type: "number", min: 1, max: 10080, value: 30, required: true, id: "o-minutes" });
  const reason = el("input", { type: "text", required: true, maxLength: 400, id: "o-reason" });
  const wrong = el("p", { class: "wrong", role: "alert" });
  const ask = async (body) => {
    wrong.textContent = "";
    try {
      await call("SetOverride", { ...subject, ...body, reason: reason.value });
      say(body.value === undefined ? `${name}: the override is lifted` : `${name}: held for ${minutes.value} min`);
      done();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      wrong.textContent = error.message;
    }
  };
  const confirm = el("button", { class: "main", type: "submit" }, "Override");
  let sure = false;
  const form = el("form", {
    onsubmit: (event) => {
      event.preventDefault();
      const number = asRatio ? value.valueAsNumber / 100 : value.valueAsNumber;
      if (!sure) { // the first press only says what will happen
        sure = true;
        confirm.textContent = `Yes, hold ${subject.group ?? words(name)} at ${quantity(number, unit)} for ${minutes.value} min`;
        return;
      }
      ask({ value: number, duration: `${60 * minutes.valueAsNumber}s` });
    },
    oninput: () => { sure = false; confirm.textContent = "Override"; },
  },
  el("p", { class: "soft" }, held
    ? `Held at ${quantity(held.value, unit)} by ${held.who}: ${held.reason}`
    : "The policy stands back while an override holds; limits, budgets and emergencies still act."),
  el("label", { htmlFor: "o-value" }, `Value, ${asRatio ? "%" : unit}`), value,
  el("label", { htmlFor: "o-minutes" }, "For how many minutes"), minutes,
  el("label", { htmlFor: "o-reason" }, "Why"), reason,
  wrong,
  el("div", { class: "actions" },
    held ? el("button", { type: "button", onclick: () => ask({}) }, "Lift the override") : null, confirm));
  return el("details", {}, el("summary", {}, "Override this value"), form);
}
