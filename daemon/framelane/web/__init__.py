"""HTTP: health, metrics and status; a file a topic.

Only `app.py` of the daemon imports this, and only where `http.listen` is set: FastAPI and uvicorn cost 16 MB
resident, the Prometheus client 4 MB more.
"""
