"""SQLite files that survive kills, power cuts, full disks and damage."""
