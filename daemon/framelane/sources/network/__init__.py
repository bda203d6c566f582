"""Host names, ports and certificates of cameras and servers."""
