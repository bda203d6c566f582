"""Output layouts of the YOLO families, one file each."""
