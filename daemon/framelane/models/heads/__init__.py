"""Output layouts of the YOLO families, one per file."""
