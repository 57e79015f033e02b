"""The command line: one thin module per command, each with a click object `command`.

Data goes to stdout, progress and messages to stderr; nothing moves where there is no terminal, and NO_COLOR is
honoured.  Exit codes: `gcsim.cli.exit_codes`.
"""
