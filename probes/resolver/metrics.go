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

package resolver

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are what a Resolver counts. None has a series for each name.
type Metrics struct {
	// names: distinct questions, one for each name and type of record.
	names prometheus.Gauge
	// lookups: questions asked, by result (LookupOutcome).
	lookups *prometheus.CounterVec
	// duration: time that lookups took, in seconds, all tries included.
	duration prometheus.Histogram
}

// NewMetrics returns metrics that are registered nowhere yet.
func NewMetrics() *Metrics {
	const space = "farpoint_dns"
	m := &Metrics{
		names:   prometheus.NewGauge(prometheus.GaugeOpts{Namespace: space, Name: "names", Help: "Distinct recurring DNS queries, one for each name and record type."}),
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: space, Name: "lookups_total", Help: "Lookups made, by result: found, empty, not_found, alias_loop, server_failure, refused, invalid, timeout or forbidden."}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: space, Name: "lookup_duration_seconds", Help: "Duration of lookups, including retries.",
			Buckets: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}}),
	}
	for outcome := LookupFound; outcome < lookupOutcomes; outcome++ {
		m.lookups.WithLabelValues(outcome.String())
	}
	return m
}

// Collectors are all metrics, to be registered.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.names, m.lookups, m.duration}
}

func (m *Metrics) observe(outcome LookupOutcome, took time.Duration) {
	m.lookups.WithLabelValues(outcome.String()).Inc()
	m.duration.Observe(took.Seconds())
}
