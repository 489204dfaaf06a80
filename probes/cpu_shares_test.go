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
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"farpoint.dev/farpoint/test/effort"
)

// sweating is a scripted prober that has a handshake to compute.
type sweating struct{ *scripted }

func (sweating) cpuHeavy() bool { return true }

func TestHandshakesOfOneNamespaceMakeNoOtherWait(t *testing.T) {
	handshake, targets := 2*time.Millisecond, 5000
	if effort.Bounded {
		handshake, targets = 10*handshake, targets/10
	}
	synctest.Test(t, func(t *testing.T) {
		s := started(t, SchedulerOptions{MaxHandshakes: 2})
		var mu sync.Mutex
		var took []time.Duration
		compute := func(ctx context.Context) Result {
			begun := time.Now()
			err := computeOver(ctx, nil, func(net.Conn) error {
				time.Sleep(handshake)
				return nil
			})
			if err != nil {
				return classify(ctx, err)
			}
			if turnOf(ctx).namespace == "modest" {
				mu.Lock()
				took = append(took, time.Since(begun))
				mu.Unlock()
			}
			return SuccessResult()
		}
		var greedy []sweating
		crowd := many(targets, func(int) Prober {
			greedy = append(greedy, sweating{&scripted{answer: compute}})
			return greedy[len(greedy)-1]
		})
		few := many(20, func(int) Prober { return sweating{&scripted{answer: compute}} })
		for i := range few {
			few[i].Identity[3], few[i].Initial = 1, Seeded(StateHealthy)
		}
		for i := range crowd { // they would take ten times as long as there is
			crowd[i].Initial = Seeded(StateHealthy)
			crowd[i].Timing = Timing{Interval: 500 * time.Millisecond, FastInterval: 500 * time.Millisecond, Timeout: 500 * time.Millisecond}
		}
		s.Set(Owner{"greedy", "crowd"}, crowd)
		s.Set(Owner{"modest", "api"}, few)
		time.Sleep(6 * timing.Interval)
		synctest.Wait()

		mu.Lock()
		defer mu.Unlock()
		if len(took) < 5*len(few) || slices.Max(took) > 10*handshake {
			t.Errorf("%d probes of the modest namespace took up to %v", len(took), slices.Max(took))
		}
		for _, of := range []Owner{{"greedy", "crowd"}, {"modest", "api"}} {
			for key, health := range s.Health(of) {
				if health.State != StateHealthy {
					t.Errorf("%v %s is %v, by no fault of its own", of, key, health.State)
				}
			}
		}
		least, most := len(greedy[0].times()), 0
		for _, each := range greedy {
			least, most = min(least, len(each.times())), max(most, len(each.times()))
		}
		if least < 10 || most > least+least/2 {
			t.Errorf("targets of the greedy namespace were probed %d to %d times", least, most)
		}
		if testutil.ToFloat64(s.options.Metrics.deferred.WithLabelValues("cpu")) == 0 {
			t.Error("nothing says that the CPU was reached")
		}
	})
}

// A timeout is the endpoint's only if it had half of the time.
func TestWaitingForATurnIsNoFaultOfTheEndpoint(t *testing.T) {
	const timeout = 2 * time.Second
	ca := newAuthority(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t)}}
	for _, test := range []struct {
		name string
		// busy is for how long somebody else computes; answer after how long the endpoint
		// answers a request.
		busy, answer time.Duration
		want         Result
	}{
		{"nobody waits", 0, 0, SuccessResult()},
		{"its turn comes in time", timeout / 8, 0, SuccessResult()},
		{"its turn does not come", time.Hour, 0, UnknownResult(ReasonCrowded)},
		{"its turn comes late, and it is slow", timeout * 3 / 4, time.Hour, UnknownResult(ReasonCrowded)},
		{"its turn comes early, and it is slow", timeout / 8, time.Hour, FailureResult(ReasonTimeout)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			def := probeOf(serve(t, secure(config, func(conn net.Conn) {
				readRequest(conn)
				select {
				case <-time.After(test.answer):
				case <-t.Context().Done():
				}
				_, _ = conn.Write([]byte(well))
			})), "https://")
			def.TLS = &TLSSettings{CABundle: ca.bundle()}
			prober := newProber(t, def)
			c := newComputing(1)
			if test.busy > 0 {
				c.take(t.Context(), "another", false)
				time.AfterFunc(test.busy, c.give)
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			if got := prober.Probe(&turn{Context: ctx, computing: c, timeout: timeout}); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
