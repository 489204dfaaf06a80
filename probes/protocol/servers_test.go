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

package protocol

import (
	"context"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/cpulimit"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// The servers of these tests know no manners but those that a test teaches them.

var (
	aSuccess = probes.SuccessResult()
	aRefusal = probes.FailureResult(probes.ReasonConnectionRefused)
	aTimeout = probes.FailureResult(probes.ReasonTimeout)
	aDrain   = probes.Result{Outcome: probes.Draining, Reason: probes.ReasonDraining, Code: 503}
	aStandby = probes.Result{Outcome: probes.Ineligible, Reason: probes.ReasonStandby, Code: 503}
)

// loopback lets probes reach the servers of these tests.
var loopback = egress.NewPolicy(egress.Rules{AllowLoopbackProbes: true})

// result is that of a probe by a definition that must be valid, on the loopback. A plain
// prober's probe is made twice, in a goroutine and by a scheduler's loop, which must come
// to the same.
func result(t testing.TB, def Definition, timeout time.Duration) probes.Result {
	t.Helper()
	prober := prepare(t, def)
	result := probeOnce(t, prober, timeout)
	if plaintext, ok := prober.(transport.LoopProber); ok && plaintext.LoopEligible() {
		if looped := probeByScheduler(t, prober, timeout); looped != result {
			t.Errorf("got %+v in a goroutine and %+v by the loop", result, looped)
		}
	}
	return result
}

func prepare(t testing.TB, def Definition) probes.Prober {
	t.Helper()
	prober, err := NewRegistry(testDialer(loopback)).New(withFields(t, def))
	if err != nil {
		t.Fatalf("New(%+v): %v", def, err)
	}
	return prober
}

// probeOnce probes as the scheduler does when nothing else computes.
func probeOnce(t testing.TB, prober probes.Prober, timeout time.Duration) probes.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	alone := cpulimit.New(1)
	start := time.Now()
	result := prober.Probe(&cpulimit.Slot{Context: ctx, Limiter: alone, Timeout: timeout})
	if alone.Free() != 1 {
		t.Error("the probe has kept its slot")
	}
	if late := time.Since(start) - timeout; late > 2*time.Second {
		t.Errorf("the probe took %v more than its timeout of %v", late, timeout)
	}
	return result
}

// at is a definition of a probe of that endpoint.
func at(endpoint netip.AddrPort, url string) Definition {
	return Definition{URL: url, Address: endpoint.Addr(), Port: endpoint.Port()}
}

func testCanceled(t *testing.T, def Definition, underWay <-chan struct{}) {
	t.Helper()
	prober := prepare(t, def)
	ctx, cancel := context.WithTimeout(t.Context(), probetest.Ample)
	defer cancel()
	go func() {
		<-underWay
		cancel()
	}()
	start := time.Now()
	if got, want := prober.Probe(ctx), probes.UnknownResult(probes.ReasonCanceled); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if took := time.Since(start); took > probetest.Ample/2 {
		t.Errorf("the probe went on for %v", took)
	}
}

// testMemoryIsBounded counts everything allocated, the server's side too.
func testMemoryIsBounded(t *testing.T, def Definition) {
	t.Helper()
	const count = 20
	prober := prepare(t, def)
	probeOnce(t, prober, probetest.Ample) // fills the pools
	allocated := allocatedBy(func() {
		for range count {
			probeOnce(t, prober, probetest.Ample)
		}
	})
	t.Logf("%d KiB a probe", allocated/count>>10)
	if allocated/count > 2<<20 {
		t.Errorf("a probe allocates %d KiB", allocated/count>>10)
	}
}

// allocatedBy is how much memory is taken meanwhile, by whomever, whether it is given
// back or not.
func allocatedBy(what func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	what()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
