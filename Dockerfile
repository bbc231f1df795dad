# syntax=docker/dockerfile:1

# The base image of both stages. To pin the exact image, add its digest:
# --build-arg PYTHON=3.13.18-slim-trixie@sha256:…
ARG PYTHON=3.13.18-slim-trixie

FROM python:${PYTHON} AS build
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python -m venv --without-pip /opt/sms-exporter \
 && pip --python /opt/sms-exporter/bin/python install --no-cache-dir --no-compile --require-hashes -r requirements/run.txt
COPY exporter exporter
ARG REVISION=unknown
RUN printf '%s' "${REVISION}" > exporter/REVISION \
 && cp -r exporter "$(/opt/sms-exporter/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
 && /opt/sms-exporter/bin/python -m compileall -q -j 0 /opt/sms-exporter/lib

FROM python:${PYTHON}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="huaweicloud-sms-exporter" \
      org.opencontainers.image.description="Prometheus exporter for Huawei Cloud Server Migration Service" \
      org.opencontainers.image.source="https://github.com/huaweicloud-sms-exporter/huaweicloud-sms-exporter" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/sms-exporter /opt/sms-exporter
# The user nobody as a number, so that Kubernetes can verify runAsNonRoot.
USER 65534:65534
EXPOSE 10058
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["/opt/sms-exporter/bin/python", "-m", "exporter.healthcheck"]
ENTRYPOINT ["/opt/sms-exporter/bin/python", "-m", "exporter"]
