# Both can be a digest, or come from a registry of your own:
# make docker-build BUILDFLAGS='--build-arg BUILDER=registry.example.com/golang@sha256:...'
ARG BUILDER=docker.io/library/golang:1.26
ARG BASE=gcr.io/distroless/static:nonroot

# Built on the builder's platform for the requested one: Go compiles for another architecture
# faster than an emulator runs its compiler.
FROM --platform=$BUILDPLATFORM $BUILDER AS builder
ARG TARGETOS
ARG TARGETARCH

WORKDIR /workspace
# The modules are a separate layer, which lasts until one of them changes. The rest needs no
# network.
COPY go.mod go.sum ./
RUN go mod download

COPY api/ api/
COPY cmd/ cmd/
COPY controllers/ controllers/
COPY probes/ probes/
# The log shows it at the start.
ARG VERSION=
# The same commit, version and compiler make the same bytes.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags="-s -w -X main.version=$VERSION" -o manager ./cmd/manager

# No shell, no package manager; certificates and a user that is not root.
FROM $BASE
LABEL org.opencontainers.image.title="Farpoint" \
      org.opencontainers.image.description="Keeps EndpointSlices of endpoints outside the cluster to those that are alive" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=builder /workspace/manager /manager
# By number, so that the kubelet can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/manager"]
