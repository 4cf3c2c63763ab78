# Needle in one image: the binary, the ONNX Runtime library and nothing that is
# fetched at start-up. The steps are those that .ci/run proves on a clean
# checkout: go build, needle setup, needle doctor.
FROM golang:1.26-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev python3-pip && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN go build -trimpath -ldflags="-s -w" -o /out/needle ./cmd/needle
ENV NEEDLE_CACHE=/out/cache
RUN /out/needle setup && /out/needle doctor

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libstdc++6 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/needle --create-home needle
COPY --from=build /out/needle /usr/local/bin/needle
COPY --from=build /out/cache /usr/local/lib/needle
COPY deploy/container.yaml /etc/needle/needle.yaml
ENV NEEDLE_CACHE=/usr/local/lib/needle
USER needle
WORKDIR /var/lib/needle
VOLUME /var/lib/needle
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/needle"]
CMD ["serve", "--config", "/etc/needle/needle.yaml"]
