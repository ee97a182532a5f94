# Compiles, emulates and packages networks; PyTorch is not inside.
#   docker build -t edgecompile .
#   docker run --rm -v "$PWD:/models" edgecompile compile net.onnx --target cortex-m4

FROM python:3.11-slim AS build
WORKDIR /source
COPY . .
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      gcc libc6-dev qemu-user qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi openssh-client adb \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /wheels /wheels
RUN python -m pip install --no-cache-dir "$(echo /wheels/edgecompile-*.whl)[cross]" \
 && rm -rf /wheels \
 && useradd --create-home --uid 1000 edgecompile \
 && install -d -o edgecompile /models
USER edgecompile
WORKDIR /models
ENTRYPOINT ["edgecompile"]
