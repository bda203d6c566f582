"""Deliberate faults: plan, targets, observers and report.

A storm is a period with faults, a calm one without. A strike is one fault; a victim is a process that gets
one.
"""
