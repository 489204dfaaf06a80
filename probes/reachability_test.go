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
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestHealth_ReachableResults_EndFailuresAndHealNothing(t *testing.T) {
	there := Result{Outcome: Reachable, Reason: ReasonUnsoundDefinition}
	limits := Thresholds{Failure: 3, Success: 2}
	for name, test := range map[string]struct {
		from    Health
		results []Result
		want    State
		stale   bool
	}{
		"lost packets kill nothing": {Seeded(StateHealthy), []Result{silent, silent, there, silent, silent, there, silent, silent}, StateHealthy, false},
		"a death is found":          {Seeded(StateHealthy), []Result{there, silent, refused, refused}, StateUnhealthy, false},
		"the dead stay dead":        {Seeded(StateUnhealthy), []Result{there, there, there, there}, StateUnhealthy, false},
		"no verdict comes of it":    {Health{}, []Result{there, there}, StateUnknown, false},
		"who drains goes on to":     {Seeded(StateDraining), []Result{there, there, there}, StateDraining, false},
		"what is stale stays so":    {SeededStale(StateHealthy, ReasonUnsoundDefinition), []Result{there, there}, StateHealthy, true},
	} {
		t.Run(name, func(t *testing.T) {
			health := test.from
			for _, result := range test.results {
				health.Observe(result, limits, time.Unix(0, 0))
			}
			if health.State != test.want || health.IsStale() != test.stale {
				t.Errorf("state %v, stale %v; want %v, %v", health.State, health.IsStale(), test.want, test.stale)
			}
		})
	}
	steady := Seeded(StateHealthy)
	steady.Observe(silent, limits, time.Unix(0, 0))
	if steady.Observe(there, limits, time.Unix(0, 0)); steady.Pending() {
		t.Error("it is probed at the fast interval although the failures have ended")
	}
}

func TestReachability_Port_IsReachableOrDead(t *testing.T) {
	registry := NewRegistry(NewDialer(NewEgressPolicy(EgressRules{AllowLoopbackProbes: true})))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(listener.Addr().String())
	prober := registry.NewReachability(Definition{URL: "https://elsewhere.invalid/", Address: at.Addr(), Port: at.Port()}, ReasonUnsoundDefinition)
	if got := prober.Probe(t.Context()); got != (Result{Outcome: Reachable, Reason: ReasonUnsoundDefinition}) {
		t.Errorf("with a listener: %+v", got)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if got := prober.Probe(t.Context()); got != refused {
		t.Errorf("without: %+v", got)
	}
	noPort := registry.NewReachability(Definition{URL: "dns://", Address: at.Addr(), UDPPort: 53}, ReasonUnsoundDefinition)
	if got := noPort.Probe(t.Context()); got != UnknownResult(ReasonUnsoundDefinition) {
		t.Errorf("without a TCP port: %+v", got)
	}
}
