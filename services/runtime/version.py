"""The software version, as nodes, spans and `turnout --version` show it."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("turnout")
except PackageNotFoundError:  # run from a tree that was never installed
    VERSION = "0.0.0"
