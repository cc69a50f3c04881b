// Changing the mode, and handing everything back.

import { call } from "./api.js";
import { ask } from "./dialog.js";
import { at, el, say } from "./dom.js";
import { MODES, modeName } from "./modes.js";

const WRITES = ["auto", "hold", "fallback", "overridden"];

function consequence(from, to) {
  if (from === to) return `Mode ${to} is in force.`;
  if (WRITES.includes(from) && !WRITES.includes(to)) return "Caps and setpoints go back to what they were before the first write.";
  if (!WRITES.includes(from) && WRITES.includes(to)) return "The controller takes the leases and begins to write caps and setpoints.";
  return MODES[to].text;
}

export function askForMode({ state, layout }) {
  const now = modeName(state.mode);
  const radios = layout.modes.map((mode) => el("label", { class: "option" },
    el("input", { type: "radio", name: "mode", value: mode, checked: mode === now, required: true }),
    el("b", {}, mode === now ? `${mode} (now)` : mode), el("span", {}, MODES[mode].text)));
  const effect = el("p", { role: "status" }, consequence(now, now));
  const reset = el("input", { type: "checkbox", id: "reset" });
  const choice = el("fieldset", {
    onchange: () => {
      const mode = choice.querySelector("input:checked").value;
      effect.textContent = consequence(now, mode);
      button.textContent = mode === now ? "Nothing to change" : `Change from ${now} to ${mode}`;
      button.disabled = mode === now && now !== "tripped";
    },
  }, el("legend", { class: "soft" }, "What shall the controller do?"), radios);
  const { button } = ask({
    title: "Change mode",
    fields: [
      choice, effect,
      now === "tripped" ? el("label", { htmlFor: "reset" }, reset, " I have found and removed the cause of the trip") : null,
      el("button", { type: "button", class: "plain", onclick: () => askForRelease() }, "Hand everything back instead"),
    ].filter(Boolean),
    action: "Nothing to change",
    submit: async (reason) => {
      const mode = choice.querySelector("input:checked").value;
      const answer = await call("SetMode", { mode: `MODE_${mode.toUpperCase()}`, reason, reset_trip: reset.checked });
      say(`Mode ${modeName(answer.mode)} (was ${modeName(answer.previous_mode)})`);
    },
  });
  button.disabled = now !== "tripped";
}

function askForRelease() {
  at("dialog").close();
  ask({
    title: "Hand everything back",
    fields: [el("p", {}, "Every lease is released: all caps and setpoints return to what they were before the first write, and the mode becomes off.")],
    action: "Hand everything back",
    danger: true,
    submit: async (reason) => {
      const answer = await call("ReleaseControl", { reason });
      const failed = answer.agents.filter((agent) => agent.message);
      say(failed.length ? `${failed[0].agent_id}: ${failed[0].message}` : `${answer.agents.length} agents have restored`);
    },
  });
}
