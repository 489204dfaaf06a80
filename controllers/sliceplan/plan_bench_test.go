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

package sliceplan_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

// oneFlip is as many endpoints as an ExternalService may have, with all that a slice has for an
// endpoint, in slices that differ in one verdict. The order of the spec does not correspond to
// that of the slices.
func oneFlip() (sliceplan.Wants, []*discoveryv1.EndpointSlice) {
	endpoints := fixtures.Numbered(1000)
	for i := range endpoints {
		e := endpoints[i].Endpoint
		e.Spec = &farpointv1.Endpoint{Hostname: fmt.Sprintf("db-%d", i), NodeName: "node-a", Zone: fmt.Sprintf("zone-%d", i%3)}
		e.Address = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(i >> 8), 15: byte(i)})
		e.Text = e.Address.String()
	}
	wants := fixtures.Wants(endpoints)
	distributed("PreferSameNode")(wants.Service)
	wants.Hints = sliceplan.DecideHints(wants.Service, endpoints).Hints
	existing := sliceplan.Make(wants, nil).Create
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(endpoints), func(i, j int) { endpoints[i], endpoints[j] = endpoints[j], endpoints[i] })
	endpoints[500].Health = health.New(health.StateUnhealthy)
	return wants, existing
}

// BenchmarkPlanFlip plans what one flip among 1,000 endpoints in 10 slices needs. It is to
// stay under 1 ms and 64 KiB.
func BenchmarkPlanFlip(b *testing.B) {
	wants, existing := oneFlip()
	b.ReportAllocs()
	for b.Loop() {
		if plan := sliceplan.Make(wants, existing); fixtures.Writes(plan) != [3]int{0, 1, 0} {
			b.Fatal(fixtures.Writes(plan))
		}
	}
}

func TestPlan_OneFlip_AllocatesLittle(t *testing.T) {
	wants, existing := oneFlip()
	least := uint64(math.MaxUint64) // what others allocate meanwhile does not count
	for range 10 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		plan := sliceplan.Make(wants, existing)
		runtime.ReadMemStats(&after)
		if fixtures.Writes(plan) != [3]int{0, 1, 0} {
			t.Fatal(fixtures.Writes(plan))
		}
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	if least > 64<<10 {
		t.Errorf("planning one flip allocates %d bytes, more than 64 KiB", least)
	}
}

// BenchmarkPlanUnchanged plans the writes of a reconcile without changes, for as many endpoints
// as an ExternalService may have.
func BenchmarkPlanUnchanged(b *testing.B) {
	endpoints := fixtures.Numbered(1000)
	existing := sliceplan.Make(fixtures.Wants(endpoints), nil).Create
	b.ReportAllocs()
	for b.Loop() {
		if plan := sliceplan.Make(fixtures.Wants(endpoints), existing); len(plan.Update) != 0 {
			b.Fatalf("%d updates", len(plan.Update))
		}
	}
}

// BenchmarkRead reads what the slices of a large ExternalService say after a restart.
func BenchmarkRead(b *testing.B) {
	existing := sliceplan.Make(fixtures.Wants(fixtures.Numbered(1000)), nil).Create
	b.ReportAllocs()
	for b.Loop() {
		slicestate.Read(existing)
	}
}
