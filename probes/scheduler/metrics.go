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

package scheduler

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/guard"
	"farpoint.dev/farpoint/probes/overload"
)

// Metrics are what a Scheduler counts. None has a series for each endpoint, of which
// there may be tens of thousands.
type Metrics struct {
	// targets: distinct probes.
	targets prometheus.Gauge
	// inFlight: probes under way, by lane: live or down.
	inFlight [lanes]prometheus.Gauge
	// inFlightVec has the members inFlight.
	inFlightVec *prometheus.GaugeVec
	// watches: connections to endpoints that report their changes themselves.
	watches prometheus.Gauge
	// lateness: time from when a probe was due to when it began, in seconds.
	lateness prometheus.Histogram
	// duration: time that probes took, in seconds, by scheme and by outcome: success,
	// failure, draining, ineligible, reachable, unknown.
	duration *prometheus.HistogramVec
	// results: probes by reason; ReasonNone is "Success".
	results *prometheus.CounterVec
	// deferred: how often a limit kept a probe from beginning, by limit: namespace,
	// destination or cpu.
	deferred *prometheus.CounterVec
	// skipped: points of the grid that passed without a probe, and shedProbes those of them that
	// passed because the operator was overloaded.
	skipped, shedProbes prometheus.Counter
	// late: probes for which the operator was late, by stage: start or exchange.
	late [lateStages]prometheus.Counter
	// lateVec has the members late.
	lateVec *prometheus.CounterVec
	// transitions: changes of health that owners were notified of.
	transitions prometheus.Counter
	// panics: probers that panicked.
	panics prometheus.Counter
	// multiplier: by how much thresholds for silence are multiplied at present.
	multiplier prometheus.Gauge
	// maxMultiplier: by how much they are at most.
	maxMultiplier prometheus.Gauge
	// isolation: 1 while the operator assumes that its own network is down, otherwise 0.
	isolation prometheus.Gauge

	// durations are the members of duration, and reasons those of results: finding them by
	// their labels takes longer than counting.
	durations map[string]*[6]prometheus.Observer
	reasons   [256]prometheus.Counter
}

// NewMetrics returns metrics that are registered nowhere yet.
func NewMetrics() *Metrics {
	const space = "farpoint"
	m := &Metrics{
		targets:     prometheus.NewGauge(prometheus.GaugeOpts{Namespace: space, Name: "probe_targets", Help: "Distinct probes that are scheduled."}),
		inFlightVec: prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: space, Name: "probes_in_flight", Help: "Concurrent probes, by lane: live, or down for targets that are steadily down and slow to fail."}, []string{"lane"}),
		watches:     prometheus.NewGauge(prometheus.GaugeOpts{Namespace: space, Name: "probe_watches", Help: "Endpoints that report their changes themselves over a watch connection."}),
		lateness: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: space, Name: "probe_lateness_seconds", Help: "Time from when a probe was due to when it started.",
			Buckets: []float64{0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: space, Name: "probe_duration_seconds", Help: "Duration of probes, by scheme of the URL and by outcome: success, failure, draining, ineligible, reachable or unknown.",
			Buckets: []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}}, []string{"scheme", "outcome"}),
		durations:     map[string]*[6]prometheus.Observer{},
		results:       prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: space, Name: "probes_total", Help: "Probes made, by reason of their result; Success for passed probes."}, []string{"reason"}),
		deferred:      prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: space, Name: "probes_deferred_total", Help: "How often a limit delayed a probe, by limit: namespace, destination or cpu."}, []string{"limit"}),
		shedProbes:    prometheus.NewCounter(prometheus.CounterOpts{Namespace: space, Name: "probes_shed_total", Help: "Routine probes left out because the operator was overloaded: the part of farpoint_probes_skipped_total that was not caused by a limit for a namespace, a destination or the CPU."}),
		lateVec:       prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: space, Name: "probes_late_total", Help: "Probes that the operator processed more than 50 ms late, by stage: start for probes that started late, exchange for established connections that waited for the request to be sent."}, []string{"stage"}),
		skipped:       prometheus.NewCounter(prometheus.CounterOpts{Namespace: space, Name: "probes_skipped_total", Help: "Intervals in which no probe was made."}),
		transitions:   prometheus.NewCounter(prometheus.CounterOpts{Namespace: space, Name: "health_changes_total", Help: "Changes of a target's health, or of the reason for it."}),
		panics:        prometheus.NewCounter(prometheus.CounterOpts{Namespace: space, Name: "prober_panics_total", Help: "Probers that panicked. Each is a bug; please report it."}),
		multiplier:    prometheus.NewGauge(prometheus.GaugeOpts{Namespace: space, Name: "local_health_multiplier", Help: "Factor for the failure thresholds of silent endpoints while the operator itself has problems: probes are lost in unrelated networks or cannot be made, or the process is stalled. Otherwise 1."}),
		maxMultiplier: prometheus.NewGauge(prometheus.GaugeOpts{Namespace: space, Name: "local_health_multiplier_max", Help: "Maximum of farpoint_local_health_multiplier."}),
		isolation:     prometheus.NewGauge(prometheus.GaugeOpts{Namespace: space, Name: "isolated", Help: "1 while the operator assumes that its own network is down and takes no endpoint out, otherwise 0."}),
	}
	m.multiplier.Set(1)
	m.maxMultiplier.Set(guard.MaxMultiplier)
	for lane := range lanes {
		m.inFlight[lane] = m.inFlightVec.WithLabelValues(lane.String())
	}
	for stage := range lateStages {
		m.late[stage] = m.lateVec.WithLabelValues(stage.String())
	}
	m.reasons[probes.ReasonNone] = m.results.WithLabelValues("Success")
	for _, reason := range probes.Reasons() {
		m.reasons[reason] = m.results.WithLabelValues(reason.String())
	}
	return m
}

// Collectors are all metrics, to be registered.
func (m *Metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.targets, m.inFlightVec, m.watches, m.lateness, m.duration, m.results,
		m.deferred, m.skipped, m.shedProbes, m.lateVec, m.transitions, m.panics, m.isolation, m.multiplier, m.maxMultiplier,
	}
}

// lateStage is the stage of a probe that the operator was late for.
type lateStage uint8

const (
	lateStart lateStage = iota
	lateExchange
	lateStages
)

// String is the stage as a metric's label has it.
func (s lateStage) String() string {
	return [lateStages]string{lateStart: "start", lateExchange: "exchange"}[s]
}

// began counts the start of a probe, and how late it is. overloaded: no limit delayed it.
func (m *Metrics) began(late, interval time.Duration, overloaded bool) {
	m.lateness.Observe(late.Seconds())
	if late > overload.LateSlack {
		m.late[lateStart].Inc()
	}
	if missed := float64(late / interval); missed > 0 {
		m.skipped.Add(missed)
		if overloaded {
			m.shedProbes.Add(missed)
		}
	}
}

// observe is called by one goroutine at a time.
func (m *Metrics) observe(scheme string, result probes.Result, took time.Duration) {
	durations := m.durations[scheme]
	if durations == nil {
		durations = &[6]prometheus.Observer{
			probes.Unknown:  m.duration.WithLabelValues(scheme, "unknown"),
			probes.Success:  m.duration.WithLabelValues(scheme, "success"),
			probes.Failure:  m.duration.WithLabelValues(scheme, "failure"),
			probes.Draining: m.duration.WithLabelValues(scheme, "draining"),

			probes.Ineligible: m.duration.WithLabelValues(scheme, "ineligible"),

			probes.Reachable: m.duration.WithLabelValues(scheme, "reachable"),
		}
		m.durations[scheme] = durations
	}
	durations[result.Outcome].Observe(took.Seconds())
	m.reasons[result.Reason].Inc()
}

func (m *Metrics) isolated(active bool) {
	m.isolation.Set(0)
	if active {
		m.isolation.Set(1)
	}
}
