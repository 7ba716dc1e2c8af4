# docker build -t carrierd .
# docker run --read-only --tmpfs /tmp -v ./carrierd.toml:/etc/carrierd/carrierd.toml:ro \
#     -v carrierd:/var/lib/carrierd carrierd
#
# The only path it writes is /var/lib/carrierd (`daemon.state_dir`).  `docker stop` sends SIGTERM:
# give it longer than `daemon.drain_within`, e.g. --stop-timeout 60.

ARG PYTHON=3.13.9

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /opt/carrierd \
    && /opt/carrierd/bin/pip install --no-cache-dir -c constraints.txt setuptools
COPY . .
RUN /opt/carrierd/bin/pip install --no-cache-dir -c constraints.txt --no-build-isolation . \
    && /opt/carrierd/bin/pip uninstall --yes setuptools pip \
    && /opt/carrierd/bin/carrierd --version

FROM python:${PYTHON}-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/carrierd --create-home carrierd
COPY --from=build /opt/carrierd /opt/carrierd
ENV PATH=/opt/carrierd/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER carrierd
VOLUME /var/lib/carrierd
# SGIP accounts also need the port of their `listen` published.
EXPOSE 9464
STOPSIGNAL SIGTERM
# Asks `http.listen` where its default is; /healthz is about the process, not about carriers.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", \
    "from urllib.request import urlopen; urlopen('http://127.0.0.1:9464/healthz', timeout=2)"]
ENTRYPOINT ["carrierd"]
CMD ["run", "--config", "/etc/carrierd/carrierd.toml"]
