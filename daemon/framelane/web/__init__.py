"""HTTP: health, metrics, status, streams and detection; one file per topic.

It is imported only if `http.listen` is set: FastAPI and uvicorn cost 16 MB resident, the Prometheus client 4
MB more.
"""
