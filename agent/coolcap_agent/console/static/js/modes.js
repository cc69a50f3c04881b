// What the modes mean, in the words of the page.

export const MODES = {
  off: { tone: "", text: "Only watches. Computes nothing, writes nothing." },
  shadow: { tone: "info", text: "Decides and records what it would do. Writes nothing." },
  advise: { tone: "info", text: "Shows its decisions as advice. Writes nothing." },
  auto: { tone: "good", text: "Decides and writes caps and cooling setpoints." },
  hold: { tone: "warn", text: "Keeps the last values. Budgets and emergencies still act." },
  fallback: { tone: "warn", text: "The policy or its readings failed; the rule or safe values act." },
  overridden: { tone: "warn", text: "A value is overridden; the rule decides about the others." },
  tripped: { tone: "bad", text: "A hard limit was passed; cooling is handed back until a person resets it." },
};

export const modeName = (value) => value.replace(/^MODE_/, "").toLowerCase();
