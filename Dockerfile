# syntax=docker/dockerfile:1

# The base image of both stages. To pin the exact image, add its digest:
# --build-arg PYTHON=3.13.18-slim-trixie@sha256:…
ARG PYTHON=3.13.18-slim-trixie

FROM python:${PYTHON} AS build
WORKDIR /src
# For networks without direct access: a package index, and the PEM text of additional CA certificates.
ARG PIP_INDEX_URL
ARG CA_CERTIFICATES
RUN if [ -n "${CA_CERTIFICATES}" ]; then \
      { cat /etc/ssl/certs/ca-certificates.crt; printf '%s\n' "${CA_CERTIFICATES}"; } > /opt/ca.pem \
      && printf '[global]\ncert = /opt/ca.pem\n' > /etc/pip.conf; \
    fi
COPY requirements/run.txt requirements/build.txt requirements/
RUN python -m venv --without-pip /opt/sms-exporter \
 && python -m venv --without-pip /opt/build \
 && pip --python /opt/sms-exporter/bin/python install --no-cache-dir --no-compile --require-hashes -r requirements/run.txt \
 && pip --python /opt/build/bin/python install --no-cache-dir --no-compile --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
# The commit, and the date of all files in seconds since 1970. Two builds of a commit give the same bytes: files are
# compiled in a fixed order, and never checked against the time of their source.
ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=1577836800
RUN export SOURCE_DATE_EPOCH PYTHONHASHSEED=0 \
 && printf '%s' "${REVISION}" > exporter/REVISION \
 && pip --python /opt/build/bin/python wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /opt/wheels . \
 && pip --python /opt/sms-exporter/bin/python install --no-cache-dir --no-compile --no-deps /opt/wheels/*.whl \
 && rm -r /opt/sms-exporter/include /opt/sms-exporter/bin/[Aa]ctivate* \
 && /opt/sms-exporter/bin/python -m compileall -q -f -j 1 --invalidation-mode unchecked-hash /opt/sms-exporter/lib \
 && mkdir /opt/state && mkdir --mode=700 /opt/state/sms-exporter \
 && find /opt/sms-exporter /opt/state -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

FROM python:${PYTHON}
# Nothing is installed in the running image.
RUN pip uninstall --yes pip \
 && rm -r "$(python -c 'import ensurepip; print(ensurepip.__path__[0])')"
ARG PYTHON
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="huaweicloud-sms-exporter" \
      org.opencontainers.image.description="Prometheus exporter for Huawei Cloud Server Migration Service" \
      org.opencontainers.image.source="https://github.com/huaweicloud-sms-exporter/huaweicloud-sms-exporter" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="docker.io/library/python:${PYTHON}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY LICENSE /licenses/LICENSE
COPY --from=build /opt/sms-exporter /opt/sms-exporter
# An empty directory for --state.path: a new volume that is mounted there gets its owner.
COPY --from=build --chown=65534:65534 /opt/state /var/lib
# One heap for all threads, instead of one per thread that keeps the memory of finished polls (glibc).
ENV MALLOC_ARENA_MAX=1
# The user nobody as a number, so that Kubernetes can verify runAsNonRoot.
USER 65534:65534
EXPOSE 10058
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["/opt/sms-exporter/bin/python", "-m", "exporter.healthcheck"]
ENTRYPOINT ["/opt/sms-exporter/bin/python", "-m", "exporter"]
