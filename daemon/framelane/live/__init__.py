"""What people see of the streams: video, boxes and stills, made only while somebody watches."""
