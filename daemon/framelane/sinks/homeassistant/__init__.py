"""Home Assistant's MQTT discovery: keeps announcements of the node and its streams current."""
