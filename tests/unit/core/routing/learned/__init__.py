"""Tests of the learned choice."""
