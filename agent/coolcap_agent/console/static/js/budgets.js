// Power budgets: what is drawn, what could be drawn at most, what is allowed.

import { call } from "./api.js";
import { ask } from "./dialog.js";
import { at, el, say, show } from "./dom.js";
import { clock, kw } from "./format.js";

function bar(budget) {
  const of = Math.max(budget.budget_w ?? 0, budget.power_bound_w ?? 0, budget.power_w ?? 0) || 1;
  const part = (watts, kind) => {
    const node = el("i", { class: kind });
    node.style.setProperty("--w", `${(100 * (watts ?? 0) / of).toFixed(1)}%`);
    return node;
  };
  return el("div", { class: "bar", "aria-hidden": "true" }, part(budget.power_bound_w, "bound"), part(budget.power_w, ""));
}

export function showBudgets({ state, session }) {
  show(at("budget-list"), [state.budgets, session.control], () => {
    if (!state.budgets.length) return el("p", { class: "empty" }, "The site file has no power budgets.");
    return state.budgets.map((budget) => el("div", { class: "budget card" },
      el("div", { class: "title-line" },
        el("h3", {}, budget.name),
        session.control ? el("button", { type: "button", onclick: () => askForBudget(budget) }, `Change budget ${budget.name}`) : ""),
      bar(budget),
      el("p", {}, `Draws ${kw(budget.power_w, 2)}, at most ${kw(budget.power_bound_w, 2)} with margin, of ${kw(budget.budget_w, 2)}`),
      budget.reason
        ? el("p", { class: "soft" }, `Instead of ${kw(budget.configured_w, 2)}${budget.end_time ? ` until ${clock(budget.end_time)} UTC` : ""}: ${budget.reason}`)
        : ""));
  });
}

function askForBudget(budget) {
  const value = el("input", { type: "number", id: "kw", step: "any", min: 0, value: (budget.budget_w / 1000).toFixed(2), required: true });
  const back = el("input", { type: "checkbox", id: "back", onchange: () => { value.disabled = back.checked; } });
  const name = () => (back.checked ? "Back to the site file's value" : `Set to ${value.value} kW`);
  const { button } = ask({
    title: `Budget ${budget.name}`,
    fields: [
      el("p", { class: "soft" }, `Now ${kw(budget.budget_w, 2)}; the site file says ${kw(budget.configured_w, 2)}. Caps follow within a second.`),
      el("label", { htmlFor: "kw" }, "Budget, kW"), value,
      budget.reason ? el("label", { htmlFor: "back" }, back, " Back to the site file's value") : null,
    ].filter(Boolean),
    action: name(),
    submit: async (reason) => {
      const body = back.checked ? {} : { budget_w: 1000 * value.valueAsNumber };
      const answer = await call("SetBudget", { name: budget.name, reason, ...body });
      say(`Budget ${budget.name}: ${kw(answer.budget.budget_w, 2)}`);
    },
  });
  value.addEventListener("input", () => { button.textContent = name(); });
  back.addEventListener("change", () => { button.textContent = name(); });
}
