// Charts of the last hour, day or month, drawn with uPlot.

import { get } from "./api.js";
import { at, el } from "./dom.js";
import { minute, quantity, shortDay } from "./format.js";

const CHARTS = [
  { title: "Power", unit: "W", lines: [["facility_power_w", "facility"], ["it_power_w", "IT"], ["cooling_power_w", "cooling"], ["it_power_bound_w", "IT at most"]] },
  { title: "Air", unit: "°C", lines: [["inlet_temp_max_c", "hottest inlet"], ["supply_air_temp_c", "supply air"], ["supply_air_temp_setpoint_c", "its setpoint"], ["outdoor_temp_c", "outdoors"], ["wet_bulb_temp_c", "wet bulb"]] },
  { title: "Chilled water", unit: "°C", lines: [["chw_supply_temp_c", "supply"], ["chw_supply_temp_setpoint_c", "its setpoint"]] },
  { title: "GPUs: power cap", unit: "W", scale: 1, lines: [["power_cap_mean_w", "mean cap in force"]] },
  { title: "GPUs: hottest", unit: "°C", lines: [["gpu_temp_max_c", "hottest GPU"]] },
  { title: "Useful work", unit: "1", lines: [["work_rate_mean_ratio", "of what uncapped GPUs would do"]] },
];
const COLOURS = ["#2a6fbb", "#d2722c", "#2b8a5f", "#8a62b4", "#77808c"];
const SPANS = { hour: "Last hour", day: "Last day", month: "Last month" };
const HEIGHT = 190;
let chosen = "hour";
let drawn = [];

export async function showHistory(world) {
  buildSpans(world);
  const past = await get(`/api/history?span=${chosen}`);
  // The charts that have data decide what stands on the page; it changes only with the span or site.
  const shown = CHARTS.map((chart) => ({
    ...chart, lines: chart.lines.filter(([name]) => past.columns[name].some((value) => value !== null)),
  })).filter((chart) => chart.lines.length);
  const key = JSON.stringify([chosen, shown, matchMedia("(prefers-color-scheme: dark)").matches]);
  if (at("charts").dataset.key !== key) {
    at("charts").dataset.key = key;
    for (const { plot } of drawn) plot.destroy();
    at("charts").replaceChildren();
    drawn = shown.map(build);
  }
  for (const chart of drawn) update(chart, past);
}

function buildSpans(world) {
  if (at("spans").childElementCount) return;
  at("spans").append(...Object.entries(SPANS).map(([name, text]) => el("button", {
    type: "button", "aria-pressed": String(name === chosen),
    onclick: (event) => {
      chosen = name;
      for (const button of at("spans").children) button.setAttribute("aria-pressed", String(button === event.target));
      showHistory(world);
    },
  }, text)));
}

function build(chart) {
  const ink = getComputedStyle(document.body).getPropertyValue("--soft");
  const grid = getComputedStyle(document.body).getPropertyValue("--line");
  const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid }, font: "12px system-ui" };
  const place = el("div", {});
  const keys = el("ul", { class: "keys" });
  const card = el("figure", { class: "chart card" }, el("h3", {}, chart.title), keys, place);
  card.style.margin = 0;
  at("charts").append(card);
  const scaled = chart.scale ?? { W: 1e3, 1: 0.01 }[chart.unit] ?? 1;
  const unit = scaled === 1e3 ? "kW" : chart.unit === "1" ? "%" : chart.unit;
  const plot = new uPlot({
    width: place.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { points: { size: 6 } },
    tzDate: (seconds) => uPlot.tzDate(new Date(1000 * seconds), "Etc/UTC"),
    axes: [{ ...axis, values: (_, ticks) => ticks.map(chosen === "month" ? shortDay : minute) }, { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => `${+tick.toFixed(3)} ${unit}`) }],
    series: [{}, ...chart.lines.map((_, i) => ({
      stroke: COLOURS[i], width: 1.8, points: { show: false }, dash: i === 3 ? [5, 4] : undefined, spanGaps: false,
    }))],
  }, [[]], place);
  new ResizeObserver(() => plot.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
  return { chart, plot, keys, scaled, card };
}

function update({ chart, plot, keys, scaled }, past) {
  const columns = chart.lines.map(([name]) => past.columns[name].map((value) => (value === null ? null : value / scaled)));
  plot.setData([past.time_s, ...columns]);
  keys.replaceChildren(...chart.lines.map(([name, text], i) => {
    const mark = el("i");
    mark.style.background = COLOURS[i];
    const last = past.columns[name].findLast((value) => value !== null);
    return el("li", {}, mark, `${text} `, el("b", {}, quantity(last, chart.unit)));
  }));
}
