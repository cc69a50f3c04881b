"""``coolcap-train``: train, evaluate, export and measure policies.

Exit status: 0 success, 1 failure, 2 wrong usage. Errors are one line on standard error; ``--json``
gives one object on standard output.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from coolcap_training.validation.cli import validate

app = typer.Typer(
    name="coolcap-train",
    help="Train, evaluate, export and measure policies for caps and cooling.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Site = Annotated[str, typer.Option("--site", help="A shipped site's name or a .toml file.")]
Bundle = Annotated[
    str, typer.Option("--policy", help="Folder of a bundle, 'default', or 'rule' for no policy.")
]
Count = Annotated[int, typer.Option("--scenarios", min=2, help="Scenarios, over all weathers.")]
Mismatch = Annotated[
    float,
    typer.Option(
        "--mismatch", min=0.0, max=2.0, help="Of plants: 0 nominal, 1 ranges of training, 2 twice."
    ),
]
Workers = Annotated[
    int, typer.Option("--workers", min=1, help="Processes side by side on this machine.")
]
Ray = Annotated[
    str | None,
    typer.Option("--ray", metavar="ADDRESS", help="Ray cluster to use; 'local' starts one."),
]
WorkValue = Annotated[
    float, typer.Option("--work-value", min=0.0, max=5.0, help="% energy per % throughput.")
]


app.command()(validate)


def main() -> None:
    """Run the command line and end the process."""
    from coolcap_envs.contract.errors import CoolcapError

    try:
        app()
    except (CoolcapError, OSError, ValueError) as error:
        print(f"coolcap-train: {error}", file=sys.stderr)
        sys.exit(1)


def _tell(data: Mapping[str, object], *, as_json: bool, words: str) -> None:
    print(json.dumps(data) if as_json else words)


@app.command()
def train(
    *,
    config: Annotated[str, typer.Option("--config", "-c", help="Name of settings.")] = "default",
    file: Annotated[
        Path | None, typer.Option("--file", help="YAML file of settings; shipped ones without.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same weights.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the run; runs/NAME-SEED without.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a policy; leaves checkpoint, settings and TensorBoard events in a folder."""
    from coolcap_training import train as training
    from coolcap_training.config import HYPERPARAMS, read_config

    settings = read_config(config, path=file or HYPERPARAMS)
    folder = out or Path("runs") / f"{config}-{seed}"
    done = training.train(settings, seed=seed, folder=folder, progress=not as_json)
    _tell(
        {
            "folder": str(folder),
            "num_timesteps": done.num_timesteps,
            "elapsed_s": round(done.elapsed_s, 1),
            "train_steps_per_s": round(done.steps_per_s),
        },
        as_json=as_json,
        words=f"{folder}: {done.num_timesteps} samples in {done.elapsed_s:.0f} s "
        f"({done.steps_per_s:.0f}/s); next: coolcap-train export {folder} --out BUNDLE",
    )


@app.command()
def tune(
    *,
    config: Annotated[str, typer.Option("--config", "-c", help="Name of settings.")] = "default",
    file: Annotated[
        Path | None, typer.Option("--file", help="YAML file of settings; shipped ones without.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Seeds to train, from 0.")] = 3,
    search: Annotated[
        int, typer.Option("--search", min=0, help="Draws of settings to try first; 0 for none.")
    ] = 0,
    scenarios: Count = 6,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the study; runs/NAME without.")
    ] = None,
    workers: Workers = 1,
    ray: Ray = None,
    as_json: Json = False,
) -> None:
    """Train several seeds, and settings if asked; keep the one whose worst validation is best."""
    from coolcap_training import tune as tuning
    from coolcap_training.config import HYPERPARAMS, read_config

    def tell(score: tuning.Score) -> None:
        gains = ", ".join(f"{plant} {gain:+.4f}" for plant, gain in score.gains.items())
        print(f"{score.folder}: reward over the rule's {gains}", file=sys.stderr)

    folder = out or Path("runs") / config
    best = tuning.tune(
        read_config(config, path=file or HYPERPARAMS),
        seeds=range(seeds),
        folder=folder,
        search_count=search,
        scenario_count=scenarios,
        workers=workers,
        ray_address=ray,
        tell=tell,
    )
    _tell(
        {"chosen": best.folder, "worst_gain": best.worst, "gains": best.gains},
        as_json=as_json,
        words=f"{best.folder}: worst gain over the rule {best.worst:+.4f}; "
        f"next: coolcap-train export {best.folder} --out BUNDLE",
    )


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the bundle.")],
    name: Annotated[str, typer.Option("--name", help="What decisions are logged under.")] = "",
    scenarios: Annotated[
        int, typer.Option("--scenarios", min=0, help="Validation scenarios; 0 skips them.")
    ] = 6,
    sign: Annotated[
        Path | None, typer.Option("--sign", help="Ed25519 private key, PEM; signs the bundle.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn a run into a bundle that the controller loads; refuses if ONNX and torch differ."""
    from coolcap_envs.contract.signature import sign as sign_bundle
    from coolcap_training.release import release

    bundle = release(run, out, name=name or run.name, scenario_count=scenarios)
    if sign is not None:
        sign_bundle(out, private_key=sign)
    manifest = bundle.manifest
    _tell(
        {
            "bundle": str(out),
            "name": manifest.name,
            "schema_hash": manifest.schema_hash,
            "graph_sha256": manifest.graph_sha256,
            "metrics": manifest.metrics,
        },
        as_json=as_json,
        words=f"{out}: policy {manifest.name}, schema {manifest.schema_hash}",
    )


@app.command()
def evaluate(
    *,
    policy: Bundle = "default",
    site: Site = "lab-16",
    scenarios: Count = 24,
    mismatch: Mismatch = 0.0,
    work_value: WorkValue = 2.0,
    against: Annotated[
        str, typer.Option("--against", help="Baselines, separated by commas.")
    ] = "rule,C0+B0,C0+B3,C1+B3,C2+B3",
    faults: Annotated[
        str | None, typer.Option("--faults", help="Plan of faults: 'standard' or a file.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--workload", help="Profile of work: 'recorded-2023' or a file.")
    ] = None,
    trace: Annotated[
        str | None, typer.Option("--trace", help="Recorded work: azure-llm|alibaba-gpu|csv:FILE.")
    ] = None,
    demand_response: Annotated[
        str | None, typer.Option("--demand-response", help="File of lowered budgets.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for report.json and report.md.")
    ] = None,
    workers: Workers = 1,
    ray: Ray = None,
    as_json: Json = False,
) -> None:
    """Compare a policy with baselines in scenarios that no training saw."""
    from coolcap_training.evaluate import evaluate as run_evaluation
    from coolcap_training.evaluate import markdown, write_report
    from coolcap_training.release import open_policy

    report = run_evaluation(
        open_policy(policy),
        site,
        scenario_count=scenarios,
        references=[name.strip() for name in against.split(",")],
        randomise_ratio=mismatch,
        work_value=work_value,
        disturbances={
            key: value
            for key, value in (
                ("faults", faults),
                ("workload", profile),
                ("trace", trace),
                ("demand_response", demand_response),
            )
            if value is not None
        },
        workers=workers,
        ray_address=ray,
    )
    if out is not None:
        write_report(report, out)
    _tell(report.to_json(), as_json=as_json, words=markdown(report))


@app.command()
def bench(
    *,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="Per site.")] = 5.0,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Of training.")] = 300_000,
    calls: Annotated[int, typer.Option("--calls", min=100, help="Of the policy.")] = 1000,
    as_json: Json = False,
) -> None:
    """Measure environment steps, training samples and the policy's latency on this machine."""
    from coolcap_training.bench import GROUP_COUNT
    from coolcap_training.bench import bench as measure

    speed = measure(seconds=seconds, samples=samples, calls=calls)
    sites = "\n".join(
        f"  {site}: {e.steps_per_s:,.0f}/s at {e.batch_size} on {e.threads} threads, "
        f"{e.steps_per_cpu_s:,.0f} per second of one core; a step takes "
        f"{e.physics_us:.2f} us of physics, {e.control_us:.2f} us of control and "
        f"{e.python_us:.2f} us around them; first call {e.first_call_s:.2f} s, "
        f"{e.memory_mb:,.0f} MB at 1,024"
        for site, e in speed.env.items()
    )
    _tell(
        speed.to_json(),
        as_json=as_json,
        words=f"environment steps ({speed.cores} cores, load {speed.load:.1f}):\n{sites}\n"
        f"training samples: {speed.train_steps_per_s:,.0f}/s\n"
        f"policy at {GROUP_COUNT} groups, one thread: {speed.policy_p50_ms:.2f} ms median, "
        f"{speed.policy_p99_ms:.2f} ms at the 99th percentile",
    )


@app.command()
def caps(
    *,
    site: Site = "lab-16",
    scenarios: Count = 12,
    as_json: Json = False,
) -> None:
    """Find the best static caps of baselines C1 and C2 on days of training."""
    from coolcap_envs.site import load_site
    from coolcap_training.baselines import best_static_caps

    found = best_static_caps(load_site(site), scenario_count=scenarios, duration_s=86_400.0)
    classes = ", ".join(f"{name} {value:g}" for name, value in found.class_cap_ratio.items())
    _tell(
        {
            "site": site,
            "cap_ratio": found.cap_ratio,
            "class_cap_ratio": found.class_cap_ratio,
        },
        as_json=as_json,
        words=f"{site}, of the highest cap: C1 {found.cap_ratio:g}; C2 {classes}",
    )


@app.command()
def workload(
    *,
    data: Annotated[
        Path | None,
        typer.Option("--data", exists=True, file_okay=False, help="Folder of recordings."),
    ] = None,
    site: Site = "lab-16",
    write: Annotated[
        Path | None, typer.Option("--write", help="File for the fitted profile, TOML.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit the generator of work to recorded requests and jobs, and say how well it fits."""
    from coolcap_training.validation.reference import default_folder
    from coolcap_training.workload import fit_workload

    folder = data or default_folder()
    if folder is None:
        raise OSError("recordings are needed: say with --data where they lie")
    fit = fit_workload(folder, site)
    if write is not None:
        write.write_text(fit.to_toml(), encoding="utf-8")
    _tell(fit.to_json(), as_json=as_json, words=fit.to_text())


@app.command()
def rule(
    *,
    site: Site = "lab-16",
    generations: Annotated[int, typer.Option("--generations", min=1, help="Of CMA-ES.")] = 40,
    scenarios: Count = 6,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; the shipped one without.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tune the rules R and Rdr, the strongest opponents of a policy, with CMA-ES."""
    from coolcap_envs.site import load_site
    from coolcap_envs.tuned_rule import rule_file
    from coolcap_training.rule_search import Search, search, write_rules

    loaded = load_site(site)
    settings = Search(generations=generations, scenario_count=scenarios)

    def tell(generation: int, score: float) -> None:
        print(f"generation {generation + 1} of {generations}: reward {score:.4f}", file=sys.stderr)

    found = {
        name: search(loaded, randomise_ratio=ratio, settings=settings, tell=tell)
        for name, ratio in (("R", 0.0), ("Rdr", 1.0))
    }
    path = out or rule_file(loaded.layout.name)
    about = (
        f"coolcap-train rule --site {site} --generations {generations} --scenarios {scenarios}: "
        f"CMA-ES, {settings.population} candidates each, days of training"
    )
    write_rules(path, {name: rule for name, (rule, _) in found.items()}, about=about)
    _tell(
        {"file": str(path), "rewards": {name: score for name, (_, score) in found.items()}},
        as_json=as_json,
        words=f"{path}: mean reward of R {found['R'][1]:.4f} on nominal plants, of Rdr "
        f"{found['Rdr'][1]:.4f} on drawn ones",
    )


@app.command()
def results(
    *,
    policy: Bundle = "default",
    sites: Annotated[
        str, typer.Option("--sites", help="Names or .toml files, separated by commas.")
    ] = "",
    scenarios: Count = 12,
    work_value: WorkValue = 2.0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Page to write, Markdown.")
    ] = None,
    workers: Workers = 1,
    ray: Ray = None,
    as_json: Json = False,
) -> None:
    """Hold a policy against every baseline, on every site, on nominal and on foreign plants."""
    from coolcap_envs.contract.config import shipped_sites
    from coolcap_training import results as found_results
    from coolcap_training.release import open_policy

    def tell(result: found_results.Result) -> None:
        print(f"{result.site}, {result.plant} plants: done", file=sys.stderr)

    chosen = [name.strip() for name in sites.split(",")] if sites else list(shipped_sites())
    found = found_results.results(
        open_policy(policy),
        sites=chosen,
        scenario_count=scenarios,
        work_value=work_value,
        workers=workers,
        ray_address=ray,
        tell=tell,
    )
    command = f"coolcap-train results --policy {policy} --sites {','.join(chosen)}"
    command += f" --scenarios {scenarios} --work-value {work_value:g}"
    text = found_results.page(found, command=command)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    _tell({"results": [r.to_json() for r in found]}, as_json=as_json, words=text)
