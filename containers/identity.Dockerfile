# The service `identity` on Microsoft's Functions host; docs/containers.md. Never built or run where this was written.
# From the repository's root: docker build --file containers/identity.Dockerfile .
FROM mcr.microsoft.com/azure-functions/python:4-python3.13 AS packages
COPY requirements.txt /build/
RUN python -m pip install --no-cache-dir --no-compile --require-hashes --only-binary :all: \
    --target /build/site-packages -r /build/requirements.txt

FROM mcr.microsoft.com/azure-functions/python:4-python3.13
ENV AzureWebJobsScriptRoot=/home/site/wwwroot \
    AzureFunctionsJobHost__Logging__Console__IsEnabled=true \
    ASPNETCORE_URLS=http://+:8080 \
    TESSERA_SERVICES=identity
# 1654 is the user `app` of Microsoft's .NET images. The host writes logs and keys below /home, and cannot change the code.
RUN mkdir -p /home/LogFiles /home/data && chown -R 1654:1654 /home/LogFiles /home/data
WORKDIR /home/site/wwwroot
COPY --from=packages /build/site-packages .python_packages/lib/site-packages
COPY function_app.py host.json requirements.txt ./
COPY infra/topology.json infra/topology.json
COPY shared shared
COPY functions functions
USER 1654
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=10s --start-period=90s --retries=3 \
    CMD ["curl", "--fail", "--silent", "--max-time", "8", "http://127.0.0.1:8080/api/health/live"]
