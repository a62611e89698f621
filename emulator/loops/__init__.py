"""Reconcilers: each compares what is desired with what runs, and takes one idempotent step."""
