# The chatbot's image: packages in one layer, the application in the last, so a change of code moves little.
FROM public.ecr.aws/docker/library/python:3.11-slim AS packages
WORKDIR /app
COPY chatbot/requirements.txt ./
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --requirement requirements.txt

FROM public.ecr.aws/docker/library/python:3.11-slim
COPY --from=packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=7860
WORKDIR /app
COPY chatbot/ ./chatbot/
RUN python -m compileall -q chatbot && useradd --system --uid 10001 chatbot
USER 10001
EXPOSE 7860
ENTRYPOINT ["python", "-m", "chatbot"]
