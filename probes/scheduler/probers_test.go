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
	"context"
	"net/netip"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/transport"
)

// loopbackOnly lets probes reach the servers of these tests.
var loopbackOnly = egress.NewPolicy(egress.Rules{AllowLoopbackProbes: true})

// probeOf is a definition of a probe of that endpoint.
func probeOf(endpoint netip.AddrPort, url string) protocol.Definition {
	return protocol.Definition{URL: url, Address: endpoint.Addr(), Port: endpoint.Port()}
}

func newProber(t testing.TB, def protocol.Definition) probes.Prober {
	t.Helper()
	prober, err := protocol.NewRegistry(transport.NewDialer(loopbackOnly)).New(def)
	if err != nil {
		t.Fatalf("New(%+v): %v", def, err)
	}
	return prober
}

// probeOutside makes one probe without a scheduler.
func probeOutside(t testing.TB, prober probes.Prober, timeout time.Duration) probes.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return prober.Probe(ctx)
}

// healthyOf counts the healthy targets of owner.
func healthyOf(s *Scheduler) int {
	count := 0
	for _, current := range s.Health(owner) {
		if current.State == health.StateHealthy {
			count++
		}
	}
	return count
}
