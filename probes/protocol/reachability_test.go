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
	"net"
	"net/netip"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/transport"
)

func TestHealth_ReachableResults_EndFailuresAndHealNothing(t *testing.T) {
	there := probes.Result{Outcome: probes.Reachable, Reason: probes.ReasonUnsoundDefinition}
	limits := health.Thresholds{Failure: 3, Success: 2}
	for name, test := range map[string]struct {
		from    health.Health
		results []probes.Result
		want    health.State
		stale   bool
	}{
		"lost packets kill nothing": {health.New(health.StateHealthy), []probes.Result{aTimeout, aTimeout, there, aTimeout, aTimeout, there, aTimeout, aTimeout}, health.StateHealthy, false},
		"a death is found":          {health.New(health.StateHealthy), []probes.Result{there, aTimeout, aRefusal, aRefusal}, health.StateUnhealthy, false},
		"the dead stay dead":        {health.New(health.StateUnhealthy), []probes.Result{there, there, there, there}, health.StateUnhealthy, false},
		"no verdict comes of it":    {health.Health{}, []probes.Result{there, there}, health.StateUnknown, false},
		"who drains goes on to":     {health.New(health.StateDraining), []probes.Result{there, there, there}, health.StateDraining, false},
		"what is stale stays so":    {health.SeededStale(health.StateHealthy, probes.ReasonUnsoundDefinition), []probes.Result{there, there}, health.StateHealthy, true},
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
	h := health.New(health.StateHealthy)
	h.Observe(aTimeout, limits, time.Unix(0, 0))
	if h.Observe(there, limits, time.Unix(0, 0)); h.Pending() {
		t.Error("it is probed at the fast interval although the failures have ended")
	}
}

func TestReachability_Port_IsReachableOrDead(t *testing.T) {
	registry := NewRegistry(transport.NewDialer(egress.NewPolicy(egress.Rules{AllowLoopbackProbes: true})))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(listener.Addr().String())
	prober := registry.NewReachability(Definition{URL: "https://elsewhere.invalid/", Address: at.Addr(), Port: at.Port()}, probes.ReasonUnsoundDefinition)
	if got := prober.Probe(t.Context()); got != (probes.Result{Outcome: probes.Reachable, Reason: probes.ReasonUnsoundDefinition}) {
		t.Errorf("with a listener: %+v", got)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if got := prober.Probe(t.Context()); got != aRefusal {
		t.Errorf("without: %+v", got)
	}
	noPort := registry.NewReachability(Definition{URL: "dns://", Address: at.Addr(), UDPPort: 53}, probes.ReasonUnsoundDefinition)
	if got := noPort.Probe(t.Context()); got != probes.UnknownResult(probes.ReasonUnsoundDefinition) {
		t.Errorf("without a TCP port: %+v", got)
	}
}
