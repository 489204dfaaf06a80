/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Namespace begins the names of all metrics.
const Namespace = "farpoint"

// PublishMetrics are the metrics of publishing.
type PublishMetrics struct {
	// Latency is the time from when a change of health was known to when the slices said so, in
	// seconds. The batch window is included.
	Latency prometheus.Histogram
	// Writes counts the EndpointSlices written, by operation: create, update or delete.
	Writes *prometheus.CounterVec
}

// NewPublishMetrics returns metrics that are not registered yet.
func NewPublishMetrics() *PublishMetrics {
	return &PublishMetrics{
		Latency: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: Namespace, Name: "publish_latency_seconds", Help: "Time from a change of health to its publication in the EndpointSlices, the batch window included.",
			Buckets: []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}}),
		Writes: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: Namespace, Name: "endpointslice_writes_total", Help: "EndpointSlices written, by operation: create, update or delete."}, []string{"operation"}),
	}
}

// Collectors returns the metrics to register.
func (m *PublishMetrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.Latency, m.Writes}
}
