"""Home Assistant's MQTT discovery: what it is told of the node and its streams, and who keeps that true."""
