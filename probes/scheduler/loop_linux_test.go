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
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
)

// What the loop makes of endpoints is tested together with what goroutines do, see result.

func TestLoopMakesManyProbesAtATime(t *testing.T) {
	const count = 3 * burst
	before := openFiles(t)
	t.Run("and closes what it has opened", func(t *testing.T) {
		prober := newProber(t, probeOf(probetest.Serve(t, probetest.Closing(probetest.Responding(probetest.Well))), "http://"))
		s := started(t, Options{MaxInFlightPerDestination: count})
		s.Set(owner, many(count, func(int) probes.Prober { return prober }))
		probetest.Eventually(t, "all are healthy", func() bool { return healthyOf(s) == count })
		if s.idle.Load() > 0 {
			t.Error("goroutines have made probes that are the loop's")
		}
	})
	if after := openFiles(t); after > before {
		t.Errorf("%d files open before and %d after", before, after)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// TestLoopEndsProbesThatNobodyWants looks at the connection's end from the other side.
func TestLoopEndsProbesThatNobodyWants(t *testing.T) {
	for name, end := range map[string]func(s *Scheduler, stop func()){
		"removed": func(s *Scheduler, _ func()) { s.Remove(owner) },
		"edited": func(s *Scheduler, _ func()) {
			edited := target(answering(probes.SuccessResult()))
			edited.Identity = Identity{9}
			s.Set(owner, []Target{edited})
		},
		"stopped": func(_ *Scheduler, stop func()) { stop() },
	} {
		t.Run(name, func(t *testing.T) {
			received, ended := make(chan struct{}), make(chan error, 1)
			endless := target(newProber(t, probeOf(probetest.Serve(t, func(conn net.Conn) {
				probetest.ReadRequest(conn)
				close(received)
				_, err := conn.Read(make([]byte, 1))
				ended <- err
			}), "http://")))
			endless.Timing.Timeout = time.Hour
			ctx, stop := context.WithCancel(t.Context())
			s := New(Options{Notify: func(probes.Owner) {}})
			s.Set(owner, []Target{endless})
			stopped := make(chan error)
			go func() { stopped <- s.Start(ctx) }()
			<-received
			end(s, stop)
			if err := <-ended; !errors.Is(err, io.EOF) {
				t.Errorf("the connection ended with %v", err)
			}
			stop()
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		})
	}
}

// buggy is a plain prober that panics at first, in each of its methods that do something.
type buggy struct {
	transport.LoopProber
	dialAddr, heard bool
}

func (b *buggy) Address() (netip.AddrPort, error) {
	if !b.dialAddr {
		b.dialAddr = true
		panic("bug")
	}
	return b.LoopProber.Address()
}

func (b *buggy) ParseResponse(answer io.Reader) (probes.Result, transport.Ending, error) {
	if !b.heard {
		b.heard = true
		panic("bug")
	}
	return b.LoopProber.ParseResponse(answer)
}

func TestLoopSurvivesPanics(t *testing.T) {
	prober := newProber(t, probeOf(probetest.Serve(t, probetest.Closing(probetest.Responding(probetest.Well))), "http://")).(transport.LoopProber)
	metrics := NewMetrics()
	s := started(t, Options{Metrics: metrics})
	hasty := target(&buggy{LoopProber: prober})
	hasty.Timing.FastInterval = 10 * time.Millisecond
	s.Set(owner, []Target{hasty})
	probetest.Eventually(t, "the next probe counts", func() bool { return healthyOf(s) == 1 })
	if panics := testutil.ToFloat64(metrics.panics); panics != 2 {
		t.Errorf("%v panics counted", panics)
	}
}

func TestLoopOutOfFileDescriptors(t *testing.T) {
	// Nobody accepts, so that no file is closed behind the test's back.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	prober := newProber(t, probeOf(probetest.AddrOf(listener), "tcp://"))
	first, second := target(prober), target(prober)
	first.Thresholds, second.Thresholds = health.Thresholds{Failure: 1, Success: 1}, health.Thresholds{Failure: 1, Success: 1}
	second.Key, second.Identity = "b", Identity{8}
	s := started(t, Options{})
	exhausted := func() bool {
		for _, health := range s.Health(owner) {
			if health.Cause == probes.UnknownResult(probes.ReasonLocalResources) {
				return true
			}
		}
		return false
	}
	release := probetest.ExhaustFileDescriptors(t)
	s.Set(owner, []Target{first})
	probetest.Eventually(t, "there is no room for a loop", exhausted)
	release()
	probetest.Eventually(t, "there is", func() bool { return healthyOf(s) == 1 })

	release = probetest.ExhaustFileDescriptors(t)
	s.Set(owner, []Target{first, second})
	probetest.Eventually(t, "there is no room for a socket", exhausted)
	release()
	probetest.Eventually(t, "there is", func() bool { return healthyOf(s) == 2 })
}
