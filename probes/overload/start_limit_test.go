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

package overload

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"farpoint.dev/farpoint/probes"
)

// fakeServer serves one probe after the other, in virtual time, and what waits longest first.
type fakeServer struct {
	service, free time.Duration
}

// answer returns when a probe that arrives at a time is answered.
func (f *fakeServer) answer(at time.Duration) time.Duration {
	f.free = max(f.free, at) + f.service
	return f.free
}

// underWay is a probe of a simulation.
type underWay struct {
	startedAt, ends time.Duration
	target          int
	result          probes.Result
}

// simulation lets as many probes begin as the limit says, each millisecond, and returns how
// many passed and failed.
type simulation struct {
	limit   StartLimit
	usual   []Microseconds
	latency func(target int, at time.Duration) time.Duration
	timeout time.Duration
	// silences endpoints do not accept connections.
	silences bool
	// demand is how many probes are due in a millisecond.
	demand int

	now                         time.Duration
	next                        int
	probes                      []underWay
	startedAt, passed, timedOut int
}

func (s *simulation) run(length time.Duration) (passed, failed int) {
	s.passed, s.timedOut = 0, 0
	for end := s.now + length; s.now < end; s.now += time.Millisecond {
		s.finish()
		starts := s.demand
		if left := s.limit.Left(s.now); left < starts {
			s.limit.Reach()
			starts = left
		}
		for range starts {
			s.begin()
		}
	}
	return s.passed, s.timedOut
}

func (s *simulation) begin() {
	s.limit.Begin(s.now)
	s.startedAt++
	probe := underWay{startedAt: s.now, ends: s.latency(s.next, s.now), target: s.next, result: probes.SuccessResult()}
	if probe.ends > s.now+s.timeout {
		probe.ends, probe.result = s.now+s.timeout, probes.FailureResult(probes.ReasonTimeout)
	}
	s.probes = append(s.probes, probe)
	s.next = (s.next + 1) % len(s.usual)
}

func (s *simulation) finish() {
	s.probes = slices.DeleteFunc(s.probes, func(p underWay) bool {
		if p.ends > s.now {
			return false
		}
		s.limit.End(EndedProbe{p.startedAt, s.timeout, s.usual[p.target].Duration(), !s.silences, p.result.Outcome}, s.now)
		if p.result.Outcome == probes.Success {
			s.usual[p.target].Learn(s.now - p.startedAt)
			s.passed++
		} else {
			s.timedOut++
		}
		return true
	})
}

func newSimulation(demand int, latency func(int, time.Duration) time.Duration) *simulation {
	return &simulation{
		limit: NewStartLimit(64), usual: make([]Microseconds, 20_000), latency: latency,
		timeout: 300 * time.Millisecond, demand: demand,
	}
}

// More is due than the server on the same machine can answer.
func TestStartLimit_ServerIsTheBottleneck_NobodyTimesOut(t *testing.T) {
	for _, perSecond := range []int{400, 1000, 4000, 20_000} {
		server := &fakeServer{service: time.Second / time.Duration(perSecond)}
		s := newSimulation(40, func(_ int, at time.Duration) time.Duration { return server.answer(at) })
		s.run(2 * time.Second)
		passed, failed := s.run(10 * time.Second)
		if failed > passed/100 {
			t.Errorf("%d of %d probes timed out at %d a second", failed, passed+failed, perSecond)
		}
		if most := 10 * perSecond; passed < most*3/4 {
			t.Errorf("%d probes passed of the %d that could have been answered", passed, most)
		}
	}
}

// A server that loses its CPU for a while, with hundreds of probes under way, gets it back.
func TestStartLimit_ServerFallsToATenth_Recovers(t *testing.T) {
	server := &fakeServer{service: time.Second / 10_000}
	s := newSimulation(40, func(_ int, at time.Duration) time.Duration { return server.answer(at) })
	s.run(2 * time.Second)
	server.service *= 10
	s.run(2 * time.Second)
	if passed, failed := s.run(5 * time.Second); failed > 0 || passed < 3500 {
		t.Errorf("%d timed out and %d passed, of 5000 that could have", failed, passed)
	}
	server.service /= 10
	s.run(2 * time.Second)
	if passed, failed := s.run(5 * time.Second); failed > 0 || passed < 35_000 {
		t.Errorf("%d timed out and %d passed after the recovery, of 50000 that could have", failed, passed)
	}
}

// Endpoints that are far away, or dead, hold up nobody.
func TestStartLimit_EndpointsFarOrSilent_NobodyWaits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, latency := range map[string]func(target int, at time.Duration) time.Duration{
		"far and near": func(target int, at time.Duration) time.Duration {
			return at + time.Duration(target%10*20)*time.Millisecond
		},
		"varying": func(_ int, at time.Duration) time.Duration {
			return at + time.Duration(random.IntN(250))*time.Millisecond
		},
		"all silent from one moment on": func(_ int, at time.Duration) time.Duration {
			if at > 4*time.Second {
				return at + time.Hour
			}
			return at + time.Millisecond
		},
	} {
		t.Run(name, func(t *testing.T) {
			const demand = 10
			s := newSimulation(demand, latency)
			s.run(2 * time.Second)
			s.silences = true
			s.startedAt = 0
			s.run(10 * time.Second)
			if due := demand * 10_000; s.startedAt < due*95/100 {
				t.Errorf("%d probes of %d were made", s.startedAt, due)
			}
		})
	}
}
