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

package probes

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// loopbackOnly lets probes reach the servers of these tests.
var loopbackOnly = NewEgressPolicy(EgressRules{AllowLoopbackProbes: true})

// probeOf is a definition of a probe of that endpoint.
func probeOf(endpoint netip.AddrPort, url string) Definition {
	return Definition{URL: url, Address: endpoint.Addr(), Port: endpoint.Port()}
}

func newProber(t testing.TB, def Definition) Prober {
	t.Helper()
	prober, err := NewRegistry(NewDialer(loopbackOnly)).New(def)
	if err != nil {
		t.Fatalf("New(%+v): %v", def, err)
	}
	return prober
}

// probeOutside makes one probe without a scheduler.
func probeOutside(t testing.TB, prober Prober, timeout time.Duration) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return prober.Probe(ctx)
}
