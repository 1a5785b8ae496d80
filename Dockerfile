# One image for worker, beat and Flower: which one it is, the command says.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 REMAP_SIGTERM=SIGQUIT
WORKDIR /app

# Dependencies first: they change seldom, so their layer is kept.
COPY pyproject.toml constraints.txt README.md LICENSE marketfetch.toml.example ./
COPY marketfetch marketfetch
COPY providers providers
COPY tasks tasks
RUN pip install -c constraints.txt '.[worker,postgres,flower]' \
    && useradd --create-home marketfetch \
    && mkdir /data && chown marketfetch /data

USER marketfetch
WORKDIR /home/marketfetch
CMD ["celery", "-A", "marketfetch", "worker", "--loglevel", "info"]
