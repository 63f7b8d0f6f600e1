"""`python -m memsvc` is the command line."""

from memsvc.cli import app

app(prog_name="memsvc")
