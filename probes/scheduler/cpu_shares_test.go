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
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/cpulimit"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/effort"
)

// cpuHeavyProber is a scripted prober with CPU-heavy probes.
type cpuHeavyProber struct{ *scripted }

func (cpuHeavyProber) CPUHeavy() bool { return true }

func TestHandshakesOfOneNamespaceMakeNoOtherWait(t *testing.T) {
	handshake, targets := 2*time.Millisecond, 5000
	if effort.Bounded {
		handshake, targets = 10*handshake, targets/10
	}
	synctest.Test(t, func(t *testing.T) {
		s := started(t, Options{MaxHandshakes: 2})
		var mu sync.Mutex
		var took []time.Duration
		compute := func(ctx context.Context) probes.Result {
			startedAt := time.Now()
			err := cpulimit.ComputeOver(ctx, nil, func(net.Conn) error {
				time.Sleep(handshake)
				return nil
			})
			if err != nil {
				return transport.Classify(ctx, err)
			}
			if cpulimit.SlotOf(ctx).Namespace == "modest" {
				mu.Lock()
				took = append(took, time.Since(startedAt))
				mu.Unlock()
			}
			return probes.SuccessResult()
		}
		var greedy []cpuHeavyProber
		greedyTargets := many(targets, func(int) probes.Prober {
			greedy = append(greedy, cpuHeavyProber{&scripted{answer: compute}})
			return greedy[len(greedy)-1]
		})
		modest := many(20, func(int) probes.Prober { return cpuHeavyProber{&scripted{answer: compute}} })
		for i := range modest {
			modest[i].Identity[3], modest[i].Initial = 1, health.New(health.StateHealthy)
		}
		for i := range greedyTargets { // they would take ten times as long as there is
			greedyTargets[i].Initial = health.New(health.StateHealthy)
			greedyTargets[i].Timing = Timing{Interval: 500 * time.Millisecond, FastInterval: 500 * time.Millisecond, Timeout: 500 * time.Millisecond}
		}
		s.Set(probes.Owner{Namespace: "greedy", Name: "crowd"}, greedyTargets)
		s.Set(probes.Owner{Namespace: "modest", Name: "api"}, modest)
		time.Sleep(6 * timing.Interval)
		synctest.Wait()

		mu.Lock()
		defer mu.Unlock()
		if len(took) < 5*len(modest) || slices.Max(took) > 10*handshake {
			t.Errorf("%d probes of the modest namespace took up to %v", len(took), slices.Max(took))
		}
		allHealthy(t, s, probes.Owner{Namespace: "greedy", Name: "crowd"}, probes.Owner{Namespace: "modest", Name: "api"})
		if least, most := timesProbed(greedy); least < 10 || most > least+least/2 {
			t.Errorf("targets of the greedy namespace were probed %d to %d times", least, most)
		}
		if testutil.ToFloat64(s.options.Metrics.deferred.WithLabelValues("cpu")) == 0 {
			t.Error("no probe was deferred for the CPU")
		}
	})
}

// timesProbed returns the smallest and the largest number of probes of a prober.
func timesProbed(all []cpuHeavyProber) (least, most int) {
	least = len(all[0].times())
	for _, item := range all {
		least, most = min(least, len(item.times())), max(most, len(item.times()))
	}
	return least, most
}

// allHealthy fails the test unless all targets of the owners are healthy.
func allHealthy(t *testing.T, s *Scheduler, owners ...probes.Owner) {
	t.Helper()
	for _, of := range owners {
		for key, current := range s.Health(of) {
			if current.State != health.StateHealthy {
				t.Errorf("%v %s is %v, by no fault of its own", of, key, current.State)
			}
		}
	}
}

// A timeout is the endpoint's only if it had half of the time.
func TestWaitingForATurnIsNoFaultOfTheEndpoint(t *testing.T) {
	const timeout = 2 * time.Second
	ca := probetest.NewAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}
	for _, test := range []struct {
		name string
		// busy is for how long somebody else computes; answer after how long the endpoint
		// answers a request.
		busy, answer time.Duration
		want         probes.Result
	}{
		{"nobody waits", 0, 0, probes.SuccessResult()},
		{"its turn comes in time", timeout / 8, 0, probes.SuccessResult()},
		{"its turn does not come", time.Hour, 0, probes.UnknownResult(probes.ReasonCrowded)},
		{"its turn comes late, and it is slow", timeout * 3 / 4, time.Hour, probes.UnknownResult(probes.ReasonCrowded)},
		{"its turn comes early, and it is slow", timeout / 8, time.Hour, probes.FailureResult(probes.ReasonTimeout)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			def := probeOf(probetest.Serve(t, probetest.Secure(config, func(conn net.Conn) {
				probetest.ReadRequest(conn)
				select {
				case <-time.After(test.answer):
				case <-t.Context().Done():
				}
				_, _ = conn.Write([]byte(probetest.Well))
			})), "https://")
			def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
			prober := newProber(t, def)
			c := cpulimit.New(1)
			if test.busy > 0 {
				c.Acquire(t.Context(), "another", false)
				time.AfterFunc(test.busy, c.Release)
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			if got := prober.Probe(&cpulimit.Slot{Context: ctx, Limiter: c, Timeout: timeout}); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
