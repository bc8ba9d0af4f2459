# `tf-tokclf serve` on CPUs. The model folder is mounted read-only, and the server runs as an unprivileged user.
#
#   docker build --tag tf-tokclf .
#   docker run --rm --publish 127.0.0.1:8000:8000 --volume "$PWD/runs/mine/model:/model:ro" tf-tokclf
#
# scripts/dev/run_dockerfile runs the steps of this file without Docker.
# For ONNX exports, --build-arg DISTRIBUTION=./runtime leaves TensorFlow out.
FROM python:3.11-slim AS build
ARG DISTRIBUTION=.
WORKDIR /src
COPY pyproject.toml setup.cfg README.md LICENSE ./
COPY scripts/constraints.txt scripts/
COPY tf_tokclf tf_tokclf
COPY runtime runtime
RUN python -m venv /opt/tf-tokclf
RUN /opt/tf-tokclf/bin/python -m pip install --no-cache-dir --disable-pip-version-check --constraint scripts/constraints.txt "$DISTRIBUTION[serve]"

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tokclf
COPY --from=build /opt/tf-tokclf /opt/tf-tokclf
# The model is mounted, so nothing is fetched. Only /tmp is written to.
ENV PATH=/opt/tf-tokclf/bin:$PATH HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["tf-tokclf"]
# Add --allowed-host NAME for each other host name that clients use.
CMD ["serve", "/model", "--host", "0.0.0.0", "--port", "8000", "--allowed-host", "localhost"]
