"""Benchmarks: what the router costs, paired with direct calls to the same upstream. See README.md."""
