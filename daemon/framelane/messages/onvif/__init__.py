"""Events in ONVIF's words, as a device with Profile M publishes them over MQTT."""
