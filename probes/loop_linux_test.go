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
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// What the loop makes of endpoints is tested together with what goroutines do, see result.

func TestLoopMakesManyProbesAtATime(t *testing.T) {
	const crowd = 3 * burst
	before := openFiles(t)
	t.Run("and closes what it has opened", func(t *testing.T) {
		prober := newProber(t, probeOf(serve(t, closing(responding(well))), "http://"))
		s := started(t, SchedulerOptions{MaxInFlightPerDestination: crowd})
		s.Set(owner, many(crowd, func(int) Prober { return prober }))
		eventually(t, "all are healthy", func() bool { return healthyOf(s) == crowd })
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
			edited := target(answering(SuccessResult()))
			edited.Identity = Identity{9}
			s.Set(owner, []Target{edited})
		},
		"stopped": func(_ *Scheduler, stop func()) { stop() },
	} {
		t.Run(name, func(t *testing.T) {
			asked, ended := make(chan struct{}), make(chan error, 1)
			endless := target(newProber(t, probeOf(serve(t, func(conn net.Conn) {
				readRequest(conn)
				close(asked)
				_, err := conn.Read(make([]byte, 1))
				ended <- err
			}), "http://")))
			endless.Timing.Timeout = time.Hour
			ctx, stop := context.WithCancel(t.Context())
			s := NewScheduler(SchedulerOptions{Notify: func(Owner) {}})
			s.Set(owner, []Target{endless})
			stopped := make(chan error)
			go func() { stopped <- s.Start(ctx) }()
			<-asked
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
	plain
	dialled, heard bool
}

func (b *buggy) address() (netip.AddrPort, error) {
	if !b.dialled {
		b.dialled = true
		panic("bug")
	}
	return b.plain.address()
}

func (b *buggy) hear(answer io.Reader) (Result, ending, error) {
	if !b.heard {
		b.heard = true
		panic("bug")
	}
	return b.plain.hear(answer)
}

func TestLoopSurvivesPanics(t *testing.T) {
	prober := newProber(t, probeOf(serve(t, closing(responding(well))), "http://")).(plain)
	metrics := NewMetrics()
	s := started(t, SchedulerOptions{Metrics: metrics})
	hasty := target(&buggy{plain: prober})
	hasty.Timing.FastInterval = 10 * time.Millisecond
	s.Set(owner, []Target{hasty})
	eventually(t, "the next probe counts", func() bool { return healthyOf(s) == 1 })
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
	prober := newProber(t, probeOf(addrOf(listener), "tcp://"))
	first, second := target(prober), target(prober)
	first.Thresholds, second.Thresholds = Thresholds{1, 1}, Thresholds{1, 1}
	second.Key, second.Identity = "b", Identity{8}
	s := started(t, SchedulerOptions{})
	exhausted := func() bool {
		for _, health := range s.Health(owner) {
			if health.Cause == UnknownResult(ReasonLocalResources) {
				return true
			}
		}
		return false
	}
	release := exhaustFileDescriptors(t)
	s.Set(owner, []Target{first})
	eventually(t, "there is no room for a loop", exhausted)
	release()
	eventually(t, "there is", func() bool { return healthyOf(s) == 1 })

	release = exhaustFileDescriptors(t)
	s.Set(owner, []Target{first, second})
	eventually(t, "there is no room for a socket", exhausted)
	release()
	eventually(t, "there is", func() bool { return healthyOf(s) == 2 })
}

// healthyOf counts the healthy targets of owner.
func healthyOf(s *Scheduler) int {
	count := 0
	for _, health := range s.Health(owner) {
		if health.State == StateHealthy {
			count++
		}
	}
	return count
}
