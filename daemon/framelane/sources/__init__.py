"""Where frames come from: cameras, files, devices and folders, one thread each."""
