"""`gcsim fit`."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.table import Table

from gcsim.cli.logs import log_options, log_settings, parse_latency, read_beside, read_logs
from gcsim.cli.output import stdout_console
from gcsim.fit.infer import fit
from gcsim.fit.logs import read_log
from gcsim.fit.specfile import rows, write


@click.command("fit")
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Spec to write; its machine profile goes beside it, as NAME.profile.yaml.",
)
@log_options
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the parameters on stdout.",
)
def command(
    trace: Path,
    out: Path | None,
    go: str | None,
    gogc: str | None,
    gomemlimit: str | None,
    cores: int | None,
    rps: float | None,
    latency_p50: str | None,
    metrics: Path | None,
    allocs: Path | None,
    also: tuple[Path, ...],
    output: str,
) -> None:
    """Derive a spec from TRACE, a service's log with gctrace lines.

    TRACE is text with GODEBUG=gctrace=1 lines of any Go release since 1.6 (gcpacertrace=1 makes it more exact; prefixes
    and other output around them do not matter) or a record file of a recorded run.  Prints what was found, with
    intervals; -o writes a spec that `gcsim run` takes.

    --metrics and --allocs put exact figures in the place of what the log does not show.  Take both from the process
    that wrote the log, under load: /metrics of the Prometheus Go collector (or runtime/metrics as a JSON object, name ->
    number, or {"buckets", "counts"}), and /debug/pprof/allocs.
    """
    of_metrics, of_allocs = read_beside(metrics, allocs)
    fitted = fit(
        read_log(trace),
        override=log_settings(go, gogc, gomemlimit),
        cores=cores,
        requests_per_s=rps,
        latency_p50_ns=parse_latency(latency_p50),
        metrics=of_metrics,
        allocs=of_allocs,
        also=read_logs(also, "--also"),
    )
    found = rows(fitted)
    if output == "json":
        body = {
            "trace": fitted.log.name,
            "cycles": len(fitted.log.cycles),
            "parameters": {
                r.name: {"value": r.value, "interval": r.interval, "source": r.source} for r in found
            },
            "notes": list(fitted.notes),
        }
        click.echo(json.dumps(body, indent=2, ensure_ascii=False))
    else:
        table = Table(box=None, pad_edge=False)
        table.add_column("parameter", no_wrap=True)
        table.add_column("value", justify="right", overflow="fold")
        table.add_column("95 % interval", justify="right", no_wrap=True)
        table.add_column("from", style="dim")
        for r in found:
            table.add_row(r.name, r.value, r.interval, r.source)
        console = stdout_console()
        console.print(f"{fitted.log.name}: {len(fitted.log.cycles)} cycles", markup=False)
        console.print(table)
        for note in fitted.notes:
            click.echo(f"note: {note}", err=True)
    if out is not None:
        try:
            written = write(fitted, out)
        except OSError as error:
            message = f"cannot write {out}: {error.strerror}; give a path in a folder that is there"
            raise click.BadParameter(message, param_hint="-o") from error
        for path in written:
            click.echo(f"written: {path}", err=True)
