"""Turns decoded frames into a model's input tensor."""
