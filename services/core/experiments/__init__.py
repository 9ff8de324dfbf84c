"""Experiments as arithmetic: from sums per arm to honest statements."""
