# Built where the builder runs and for the platform that is asked for: Go compiles
# for another architecture faster than an emulator runs its compiler.
FROM --platform=$BUILDPLATFORM golang:1.26 AS builder
ARG TARGETOS
ARG TARGETARCH

WORKDIR /workspace
# The modules are a layer of their own, which lasts until one of them changes.
COPY go.mod go.sum ./
RUN go mod download

COPY api/ api/
COPY cmd/ cmd/
COPY controllers/ controllers/
COPY probes/ probes/
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags="-s -w" -o manager ./cmd/manager

# No shell, no package manager; certificates and a user that is not root.
FROM gcr.io/distroless/static:nonroot
COPY --from=builder /workspace/manager /manager
# By number, so that the kubelet can see that it is not root.
USER 65532:65532
ENTRYPOINT ["/manager"]
