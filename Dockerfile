# syntax=docker/dockerfile:1
# One image for worker, beat, the web API and Flower: which one it is, the command says. docs/docker.md pins the base image by its digest.
ARG PYTHON_IMAGE=python:3.13-slim

# What is to be installed: a stage of its own, so that a change in pyproject.toml that changes none of it rebuilds nothing behind.
FROM ${PYTHON_IMAGE} AS requirements
COPY docker/dependencies.py pyproject.toml /
RUN python /dependencies.py /pyproject.toml > /requirements.txt

# The dependencies, before any source file: this layer is built and pulled again only when they change.
FROM ${PYTHON_IMAGE} AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv --without-pip /opt/marketfetch
COPY constraints.txt /
COPY --from=requirements /requirements.txt /
RUN python -m pip --python /opt/marketfetch install -c /constraints.txt -r /requirements.txt

FROM ${PYTHON_IMAGE} AS wheel
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT=/src/constraints.txt
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY marketfetch marketfetch
COPY providers providers
COPY tasks tasks
RUN python -m pip wheel --no-deps --wheel-dir /wheels .

FROM ${PYTHON_IMAGE}
# No compiler, no build tools, no pip cache: the environment alone. Bytecode is written here, since the root may be read-only.
COPY --from=dependencies /opt/marketfetch /opt/marketfetch
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    python -m pip --python /opt/marketfetch --no-cache-dir install --no-index --no-deps /wheels/*.whl \
    && useradd --system --uid 10001 --create-home marketfetch \
    && mkdir /data && chown marketfetch /data

# REMAP_SIGTERM: Celery's soft shutdown. SIGTERM, which docker stop sends, finishes what runs, then goes.
ENV PATH=/opt/marketfetch/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 REMAP_SIGTERM=SIGQUIT
USER marketfetch
WORKDIR /home/marketfetch
CMD ["celery", "-A", "marketfetch", "worker", "--loglevel", "info"]
