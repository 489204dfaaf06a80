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
	dto "github.com/prometheus/client_model/go"
)

// sample is one value of a metric at one scrape. There are more than a hundred thousand samples
// in a large cluster, which is why they share their labels: the constant metrics of the library
// would be four times the garbage.
type sample struct {
	desc *prometheus.Desc
	// counts: it is a counter, and otherwise a gauge.
	counts bool
	value  float64
	// labels are in the order of their names.
	labels []*labelPair
}

type labelPair = dto.LabelPair

// Desc implements prometheus.Metric.
func (s *sample) Desc() *prometheus.Desc { return s.desc }

// Write implements prometheus.Metric.
func (s *sample) Write(into *dto.Metric) error {
	into.Label = s.labels
	if s.counts {
		into.Counter = &dto.Counter{Value: &s.value}
	} else {
		into.Gauge = &dto.Gauge{Value: &s.value}
	}
	return nil
}

func newPair(name, value string) *labelPair { return &labelPair{Name: &name, Value: &value} }

// pairs are labels that many samples have.
type pairs map[[2]string]*labelPair

func (p pairs) of(name, value string) *labelPair {
	key := [2]string{name, value}
	known := p[key]
	if known == nil {
		known = newPair(name, value)
		p[key] = known
	}
	return known
}
