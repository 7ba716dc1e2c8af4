# docker build -t carrierd .
# docker run --read-only --tmpfs /tmp -v ./carrierd.toml:/etc/carrierd/carrierd.toml:ro \
#     -v carrierd:/var/lib/carrierd carrierd
#
# The only path it writes is /var/lib/carrierd (`daemon.state_dir`).  `docker stop` sends SIGTERM:
# give it longer than `daemon.drain_within`, e.g. --stop-timeout 60.
#
# It is built where a C compiler is, for the hot modules are compiled, and runs where none is.  Both
# bases are pinned by their exact versions.  A release pins them by digest, so that the same build a
# year later begins with the same bytes:
#
#     docker buildx imagetools inspect python:3.13.9-bookworm --format '{{.Manifest.Digest}}'
#     docker buildx imagetools inspect python:3.13.9-slim-bookworm --format '{{.Manifest.Digest}}'
#     docker build --build-arg BUILD=python:3.13.9-bookworm@sha256:... \
#         --build-arg BASE=python:3.13.9-slim-bookworm@sha256:... -t carrierd .

ARG BUILD=python:3.13.9-bookworm
ARG BASE=python:3.13.9-slim-bookworm

FROM ${BUILD} AS build
WORKDIR /src
# Only the versions that the tests ran with, and only files whose hashes are known.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/carrierd \
    && python -m pip --python /opt/carrierd/bin/python install --no-cache-dir \
        --require-hashes --only-binary :all: -r requirements.lock \
    && python -m pip install --no-cache-dir \
        --require-hashes --only-binary :all: -r requirements-build.lock
COPY . .
RUN CARRIERD_COMPILE=1 python -m pip wheel --no-cache-dir --no-deps --no-build-isolation \
        --wheel-dir dist . \
    && python -m pip --python /opt/carrierd/bin/python install --no-cache-dir \
        --no-deps --no-index dist/*.whl \
    && /opt/carrierd/bin/carrierd --version

FROM ${BASE}
RUN useradd --system --no-log-init --uid 10001 --shell /usr/sbin/nologin \
        --home-dir /var/lib/carrierd --create-home carrierd \
    && chmod 700 /var/lib/carrierd
COPY --from=build /opt/carrierd /opt/carrierd
ENV PATH=/opt/carrierd/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# By number, so that an orchestrator can see that it is not root.
USER 10001
VOLUME /var/lib/carrierd
# SGIP accounts also need the port of their `listen` published.
EXPOSE 9464
STOPSIGNAL SIGTERM
# Asks `http.listen` where its default is; /healthz is about the process, not about carriers.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:9464/healthz', timeout=2)"]
ENTRYPOINT ["carrierd"]
CMD ["run", "--config", "/etc/carrierd/carrierd.toml"]
