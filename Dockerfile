# syntax=docker/dockerfile:1
# Two images, each of two stages: `docker build --target cpu .` and `--target gpu`. docs/deployment.md says more.
# Both base images are pinned by version; pin them by digest too, as PYTHON_IMAGE=python:3.12.12-slim-bookworm@sha256:...

ARG PYTHON_IMAGE=python:3.12.12-slim-bookworm
# TensorRT 10.6, CUDA 12.6, Python 3.12. 23.09-py3 (TensorRT 8.6.1, Python 3.10) is supported too: docs/deployment.md.
ARG TENSORRT_IMAGE=nvcr.io/nvidia/tensorrt:24.11-py3

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS build-cpu
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# A private package index, if there is one, comes as a secret: --secret id=pip,src=pip.conf. It stays in no layer.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf scripts/make_environment.sh /opt/framelane \
    && scripts/trim_environment.sh /opt/framelane

# hadolint ignore=DL3006
FROM ${TENSORRT_IMAGE} AS build-gpu
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=secret,id=pip,target=/etc/pip.conf scripts/make_environment.sh /opt/framelane gpu \
    && scripts/trim_environment.sh /opt/framelane
# Found but not loaded, since nothing that builds images has a driver.
RUN /opt/framelane/bin/python -c "import importlib.util as u, sys; sys.exit(None if u.find_spec('tensorrt') else 'this image has no TensorRT for its python3')"

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS cpu
RUN groupadd --gid 10001 framelane \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/framelane --shell /usr/sbin/nologin framelane \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/framelane /var/cache/framelane \
    && install -d -m 0755 /etc/framelane
COPY --from=build-cpu /opt/framelane /opt/framelane
# As systemd names them: one configuration serves both. The root file system may be read-only but for these and /tmp.
ENV PATH=/opt/framelane/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIRECTORY=/var/lib/framelane CACHE_DIRECTORY=/var/cache/framelane
WORKDIR /var/lib/framelane
VOLUME ["/var/lib/framelane", "/var/cache/framelane"]
USER 10001:10001
EXPOSE 8080
# `http: {listen: "0.0.0.0:8080", token_file: ...}`; the probes need no token. A first start loads models.
HEALTHCHECK --interval=15s --timeout=5s --start-period=2m --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["framelane"]
CMD ["run", "/etc/framelane/framelane.yaml"]

# hadolint ignore=DL3006
FROM ${TENSORRT_IMAGE} AS gpu
RUN groupadd --gid 10001 framelane \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/framelane --shell /usr/sbin/nologin framelane \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/framelane /var/cache/framelane \
    && install -d -m 0755 /etc/framelane
COPY --from=build-gpu /opt/framelane /opt/framelane
ENV PATH=/opt/framelane/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIRECTORY=/var/lib/framelane CACHE_DIRECTORY=/var/cache/framelane
# NVDEC is the capability `video`; NVML is `utility`.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,video,utility
WORKDIR /var/lib/framelane
VOLUME ["/var/lib/framelane", "/var/cache/framelane"]
USER 10001:10001
EXPOSE 8080
# A first start builds engines, which takes minutes a model.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30m --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
# Past the image's own entry point, which prints a banner and looks for the driver.
ENTRYPOINT ["framelane"]
CMD ["run", "/etc/framelane/framelane.yaml"]
