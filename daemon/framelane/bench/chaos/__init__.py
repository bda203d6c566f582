"""Faults on purpose: what is struck when, who watches, and what it cost."""
