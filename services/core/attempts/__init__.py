"""Attempts: the failover machine. `chain.step` is a pure function; `dataplane/runner.py` performs its effects."""
