// A dialog with a form: a title, fields, a reason where one is needed, and what the controller answers.

import { Refused } from "./api.js";
import { at, el } from "./dom.js";

// `submit` is called with the reason; a refusal is shown in the dialog, word for word.
export function ask({ title, fields, action, danger = false, needsReason = true, submit }) {
  const dialog = at("dialog");
  const reason = needsReason ? el("textarea", { id: "reason", rows: 2, required: true, maxLength: 400 }) : null;
  const wrong = el("p", { class: "wrong", role: "alert" });
  const button = el("button", { class: danger ? "danger" : "main", type: "submit" }, action);
  const form = el("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      wrong.textContent = "";
      button.disabled = true;
      try {
        await submit(reason?.value.trim() ?? "");
        dialog.close();
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        wrong.textContent = error.message;
      } finally {
        button.disabled = false;
      }
    },
  },
  el("h2", { id: "dialog-title" }, title),
  ...fields,
  ...(reason ? [el("label", { htmlFor: "reason" }, "Why? It goes to the audit log"), reason] : []),
  wrong,
  el("div", { class: "actions" },
    el("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), button));
  dialog.replaceChildren(form);
  dialog.showModal();
  return { button };
}
