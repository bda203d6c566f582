"""Fragmented MP4 (ISO/IEC 14496-12 and 14496-15) of one H.264 or H.265 track."""
