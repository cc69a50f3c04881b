// Who one is: everybody may read, if the site allows; a token or a certificate also controls.

import { get, send } from "./api.js";
import { ask } from "./dialog.js";
import { at, el } from "./dom.js";

export async function openSession() {
  const session = await get("/api/session");
  const may = session.control ? "may control" : session.read ? "read only" : "not signed in";
  at("person").textContent = [session.name, may].filter(Boolean).join(", ");
  at("sign").hidden = !session.tokens;
  at("sign").textContent = session.control ? "Sign out" : "Sign in";
  if (!session.read && session.tokens) signInOrOut(session);
  return session;
}

export async function signInOrOut(session) {
  if (session.control) {
    await send("/api/session", {}, "DELETE");
    location.reload();
    return;
  }
  const token = el("input", { type: "password", id: "token", required: true, autocomplete: "current-password" });
  ask({
    title: "Sign in",
    fields: [el("p", { class: "soft" }, "With a token you may also change modes, budgets and values."),
      el("label", { htmlFor: "token" }, "Token"), token],
    action: "Sign in",
    needsReason: false,
    submit: async () => {
      await send("/api/session", { token: token.value });
      location.reload();
    },
  });
}
