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
	"fmt"
	"net/netip"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/transport"
)

// BenchmarkHealthObserve is the state machine at work on a steady target.
func BenchmarkHealthObserve(b *testing.B) {
	health := health.New(health.StateHealthy)
	b.ReportAllocs()
	for b.Loop() {
		health.Observe(probes.SuccessResult(), thresholds, time.Time{})
	}
}

// BenchmarkRegistryNew prepares the prober of an endpoint, as each reconcile does.
func BenchmarkRegistryNew(b *testing.B) {
	registry := protocol.NewRegistry(transport.NewDialer(loopbackOnly))
	def := protocol.Definition{URL: "http:///health", Address: netip.MustParseAddr("192.0.2.10"), Port: 8080}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.New(def); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSchedulerSet hands the scheduler the targets that it has, as a reconcile without
// a change does, among fifty thousand of them.
func BenchmarkSchedulerSet(b *testing.B) {
	scheduler, owners, targets := populatedScheduler(5000, 10)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		scheduler.Set(owners[i%len(owners)], targets[i%len(owners)])
	}
}

// BenchmarkSchedulerHealth reads what is known of an owner's targets.
func BenchmarkSchedulerHealth(b *testing.B) {
	scheduler, owners, _ := populatedScheduler(5000, 10)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if len(scheduler.Health(owners[i%len(owners)])) != 10 {
			b.Fatal("targets are missing")
		}
	}
}

// populatedScheduler returns a scheduler, not started, with targets of many owners.
func populatedScheduler(ownerCount, item int) (*Scheduler, []probes.Owner, [][]Target) {
	scheduler := New(Options{Notify: func(probes.Owner) {}})
	owners, targets := make([]probes.Owner, ownerCount), make([][]Target, ownerCount)
	for i := range owners {
		owners[i] = probes.Owner{Namespace: fmt.Sprintf("namespace-%d", i%100), Name: fmt.Sprintf("owner-%d", i)}
		for j := range item {
			targets[i] = append(targets[i], Target{
				Key:      fmt.Sprintf("endpoint-%d", j),
				Identity: Identity{byte(i >> 8), byte(i), byte(j)},
				Prober:   answering(probes.SuccessResult()), Timing: timing, Thresholds: thresholds,
				Initial: health.New(health.StateHealthy),
			})
		}
		scheduler.Set(owners[i], targets[i])
	}
	return scheduler, owners, targets
}
