"""The command group: finds commands when they are needed, and turns errors into words and exit codes."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from gcsim.cli import exit_codes
from gcsim.errors import GcsimError, InvariantError, SpecError

COMMANDS = {
    "run": "gcsim.cli.run",
    "validate-spec": "gcsim.cli.validate_spec",
    "schema": "gcsim.cli.schema",
    "init": "gcsim.cli.init",
    "escape": "gcsim.cli.escape",
    "predict": "gcsim.cli.predict",
    "validate": "gcsim.cli.validate",
    "breakeven": "gcsim.cli.breakeven",
    "gctrace": "gcsim.cli.gctrace",
    "trace": "gcsim.cli.trace",
    "benchfmt": "gcsim.cli.benchfmt",
    "pprof": "gcsim.cli.pprof",
    "learn": "gcsim.cli.learn",
    "fit": "gcsim.cli.fit",
    "whatif": "gcsim.cli.whatif",
    "bench": "gcsim.cli.bench",
    "calibrate": "gcsim.cli.calibrate",
    "serve": "gcsim.cli.serve",
    "submit": "gcsim.cli.submit",
    "watch": "gcsim.cli.watch",
    "list": "gcsim.cli.list_runs",
    "get": "gcsim.cli.get",
    "cancel": "gcsim.cli.cancel",
    "delete": "gcsim.cli.delete",
    "download": "gcsim.cli.download",
    "prune": "gcsim.cli.prune",
    "db": "gcsim.cli.db",
    "sweep": "gcsim.cli.sweep",
    "optimize": "gcsim.cli.optimize",
    "report": "gcsim.cli.report",
    "compare": "gcsim.cli.compare",
    "export": "gcsim.cli.export",
    "names": "gcsim.cli.names",
    "version": "gcsim.cli.version",
}
"""Command -> module with the click object `command`; imported when used, since the engine and pyarrow take a while."""


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(COMMANDS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SpecError as error:
            click.echo(str(error), err=True)
            ctx.exit(exit_codes.USAGE)
        except InvariantError as error:
            click.echo(f"This is a bug in gcsim, please report it: {error}", err=True)
            ctx.exit(exit_codes.RUN_FAILED)
        except GcsimError as error:
            click.echo(f"Error: {error}", err=True)
            # By its name: importing the client, and grpc with it, would slow every command down.
            unreachable = type(error).__name__ in ("ServerUnreachableError", "ClusterUnreachableError")
            ctx.exit(exit_codes.SERVER_UNREACHABLE if unreachable else exit_codes.RUN_FAILED)
        except KeyboardInterrupt:
            click.echo("Interrupted; nothing half-written is left behind.", err=True)
            ctx.exit(exit_codes.INTERRUPTED)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 ok, 1 run failed, 2 usage or bad spec, 3 server unreachable, 4 some runs of a sweep failed,"
    " 99 a threshold of the spec failed, 130 interrupted."
    ' Completion: eval "$(_GCSIM_COMPLETE=bash_source gcsim)".',
)
def cli() -> None:
    """Simulate the memory management of Go programs: collections, heap, CPU, pauses and request latency."""


def main() -> None:
    """Entry point of the `gcsim` command."""
    cli(prog_name="gcsim")
