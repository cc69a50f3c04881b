// Numbers, times and names for people. Unknown is a dash.

export const DASH = "–";

export function kw(watts, decimals = 1) {
  if (watts === null || watts === undefined) return DASH;
  if (Math.abs(watts) >= 9.995e5) return `${(watts / 1e6).toFixed(2)} MW`;
  return `${(watts / 1e3).toFixed(decimals)} kW`;
}

export function quantity(value, unit, decimals) {
  if (value === null || value === undefined) return DASH;
  if (unit === "1") return `${(100 * value).toFixed(decimals ?? 0)} %`;
  if (unit === "W" && Math.abs(value) >= 1e4) return kw(value);
  return `${value.toFixed(decimals ?? (unit === "W" ? 0 : 1))} ${unit}`;
}

export function unitOf(name) {
  const suffixes = { _w: "W", _c: "°C", _k: "K", _ratio: "1", _mhz: "MHz", _kwh: "kWh" };
  return Object.entries(suffixes).find(([suffix]) => name.endsWith(suffix))?.[1] ?? "";
}

const clockOf = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: "UTC" });
const dayOf = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

const minuteOf = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
const shortDayOf = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

const dateOf = (time) => new Date(typeof time === "number" ? 1000 * time : time);
export const clock = (time) => clockOf.format(dateOf(time));
export const minute = (time) => minuteOf.format(dateOf(time));
export const shortDay = (time) => shortDayOf.format(dateOf(time));
export const day = (time) => dayOf.format(dateOf(time));

export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${(s / 3600).toFixed(1)} h`;
  return `${(s / 86400).toFixed(1)} days`;
}

// "supply_air_temp_setpoint_c" -> "Supply air temperature setpoint"
export function words(name) {
  const text = name.replace(/_(w|c|k|ratio|mhz|kwh|l)$/, "").replaceAll("_", " ")
    .replace(/\bchw\b/, "chilled water").replace(/\bcw\b/, "condenser water").replace(/\bcdu\b/, "CDU")
    .replace(/\bcrah\b/, "CRAH").replace(/\btemp\b/, "temperature").replace(/\bgpu\b/, "GPU")
    .replace(/\bsm\b/, "SM").replace(/ max\b/, ", highest");
  return text[0].toUpperCase() + text.slice(1);
}
