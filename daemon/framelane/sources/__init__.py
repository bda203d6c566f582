"""Cameras, files, devices and image folders, each read on its own thread."""
