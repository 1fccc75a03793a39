"""Sweeps: a plan of runs, carried out step by step, each step kept by the hash of what it depends on."""
