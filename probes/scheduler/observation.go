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

	"farpoint.dev/farpoint/probes"
)

// Observation is what is known about a target besides its health.
type Observation struct {
	// Key is the target's.
	Key string
	// Took is how long the last probe took; 0 before the first.
	Took time.Duration
	// CertificateExpiry is when the first of the certificates expires that the last probes saw; zero
	// if they saw none.
	CertificateExpiry time.Time
	// Flapping: the target has died, or started to drain, so often recently that its recoveries are
	// delayed.
	Flapping bool
}

// Observations appends those of the owner's targets to the list, in the order of their keys.
func (s *Scheduler) Observations(owner probes.Owner, list []Observation) []Observation {
	now := s.options.Clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	of, ok := s.owners[owner]
	if !ok {
		return list
	}
	for _, entry := range of.entries {
		observed := Observation{Key: entry.key, Took: entry.probe.took.Duration(), Flapping: entry.probe.health.Flapping(now)}
		if prober, ok := entry.probe.prober.(probes.TLSInfo); ok {
			observed.CertificateExpiry = prober.CertificateExpiry()
		}
		list = append(list, observed)
	}
	return list
}
