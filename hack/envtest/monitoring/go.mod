// The release of the Prometheus operator whose CRDs the tests hold config/prometheus
// against. There is no Go here, so that `go mod tidy` would leave nothing; to move to
// another release, change the version and run `go mod download`.
module farpoint.dev/farpoint/hack/envtest/monitoring

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
