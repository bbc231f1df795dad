# syntax=docker/dockerfile:1

FROM python:3.13.0-slim-bookworm AS build
WORKDIR /src
COPY requirements/run.txt requirements/run.txt
RUN python -m venv /opt/sms-exporter \
 && /opt/sms-exporter/bin/pip install --no-cache-dir --require-hashes -r requirements/run.txt
COPY exporter exporter
ARG REVISION=unknown
RUN cp -r exporter /opt/sms-exporter/lib/python3.13/site-packages/exporter \
 && printf '%s' "${REVISION}" > /opt/sms-exporter/lib/python3.13/site-packages/exporter/REVISION \
 && /opt/sms-exporter/bin/python -m compileall -q /opt/sms-exporter/lib

FROM python:3.13.0-slim-bookworm
LABEL org.opencontainers.image.title="huaweicloud-sms-exporter" \
      org.opencontainers.image.description="Prometheus exporter for Huawei Cloud Server Migration Service" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/sms-exporter /opt/sms-exporter
USER 65534:65534
EXPOSE 10058
HEALTHCHECK --interval=30s --timeout=5s CMD ["/opt/sms-exporter/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:10058/-/healthy', timeout=4)"]
ENTRYPOINT ["/opt/sms-exporter/bin/python", "-m", "exporter"]
