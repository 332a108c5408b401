"""Chaos experiments without an account: hypothesis, steady state, fault, verdict, on virtual time."""
