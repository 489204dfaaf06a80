//go:build linux && e2e

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

package e2e_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"farpoint.dev/farpoint/test/e2e"
	"farpoint.dev/farpoint/test/e2e/traffic"
)

// settleTime is for how long after a bound requests are sent that should not fail any more.
const settleTime = 500 * time.Millisecond

// deaths makes hosts fail, one after the other, and measures how long requests failed each time.
func (s *scenario) deaths(client *traffic.Client, bound time.Duration, hosts []*e2e.Host, fault func(*e2e.Host) (time.Time, error)) {
	s.t.Helper()
	for _, host := range hosts {
		s.death(client, bound, host, fault)
	}
	s.expectDeathsInTime()
}

// death makes a host fail, and adds to the row how long requests failed. It returns the time.
func (s *scenario) death(client *traffic.Client, bound time.Duration, host *e2e.Host, fault func(*e2e.Host) (time.Time, error)) time.Time {
	s.t.Helper()
	at, err := fault(host)
	s.Expect(err).NotTo(HaveOccurred())
	s.awaitOut(host, bound+10*time.Second)
	out := time.Since(at)
	time.Sleep(time.Until(at.Add(bound + settleTime)))
	s.row.Died(e2e.Death{LastFailure: e2e.LastFailure(client.Between(at, time.Now()), at), Out: out, Bound: bound})
	return at
}

// expectDeathsInTime expects that all deaths were found within their bounds.
func (s *scenario) expectDeathsInTime() {
	s.t.Helper()
	for _, death := range s.row.Deaths {
		s.Expect(death.LastFailure).To(BeNumerically("<=", death.Bound+e2e.Slack), "the time from a death to the last request that failed, %+v", death)
	}
	s.Expect(s.row.MedianDelay()).To(BeNumerically("<=", 100*time.Millisecond), "the time after its bound, in the median of %v", s.row.Deaths)
}

func kill(host *e2e.Host) (time.Time, error)   { return host.Kill() }
func cut(host *e2e.Host) (time.Time, error)    { return host.Cut() }
func freeze(host *e2e.Host) (time.Time, error) { return host.Freeze() }

func fail(host *e2e.Host) (time.Time, error) {
	return host.Behave(e2e.Behaviour{Status: http.StatusServiceUnavailable})
}

func slow(host *e2e.Host) (time.Time, error) {
	return host.Behave(e2e.Behaviour{Delay: time.Minute})
}

// fastest are the settings of docs/user-guide.md with which failures end in less than two seconds.
var fastest = e2e.Settings{Interval: time.Second, Fast: 500 * time.Millisecond, Timeout: 500 * time.Millisecond, FailureThreshold: 1, SuccessThreshold: 2}

func TestDeaths(t *testing.T) {
	for _, death := range []struct {
		name     string
		settings e2e.Settings
		bound    time.Duration
		fault    func(*e2e.Host) (time.Time, error)
	}{
		{"backend killed (RST)", quick, quick.Refusal(), kill},
		{"host cut off (packets dropped)", quick, quick.Silence(), cut},
		{"backend answers 503", quick, quick.Refusal(), fail},
		{"backend does not answer", quick, quick.Silence(), slow},
		{"backend stopped (SIGSTOP)", quick, quick.Silence(), freeze},
		{"backend killed, failureThreshold 1", fastest, fastest.Refusal(), kill},
		{"host cut off, failureThreshold 1", fastest, fastest.Silence(), cut},
	} {
		t.Run(death.name, func(t *testing.T) {
			t.Parallel()
			play(t, death.name, 6, death.settings, func(s *scenario) {
				s.create(s.endpoints())
				client := s.sendFromPod()
				s.begin()
				s.deaths(client, death.bound, s.hosts[:5], death.fault)
				s.finish()
				if death.settings == fastest {
					s.Expect(s.row.LastFailure).To(BeNumerically("<", 2*time.Second))
				}
			})
		})
	}
}

// A backend that takes longer than the health check waits gets no traffic, although a
// patient client would be served.
func TestSlowBackend(t *testing.T) {
	t.Parallel()
	play(t, "backend slower than the health check's timeout", 3, quick, func(s *scenario) {
		s.create(s.endpoints())
		client := s.sendFromPod()
		s.begin()
		const delay = 700 * time.Millisecond
		at, err := s.hosts[0].Behave(e2e.Behaviour{Delay: delay})
		s.Expect(err).NotTo(HaveOccurred())
		s.awaitOut(s.hosts[0], quick.Silence()+10*time.Second)
		time.Sleep(time.Until(at.Add(quick.Silence() + settleTime)))
		last := time.Duration(0)
		for _, request := range client.Between(at, time.Now()) {
			if request.Took >= delay {
				last = max(last, request.At.Sub(at))
			}
		}
		s.recordMax("lastSlowMs", last)
		s.row.DetectionBound = quick.Silence()
		s.finish()
		s.Expect(last).To(BeNumerically(">", 0), "clients are to have waited")
		s.Expect(last).To(BeNumerically("<=", quick.Silence()+e2e.Slack))
		s.Expect(s.row.Failures).To(BeZero())
	})
}

func TestRecovery(t *testing.T) {
	t.Parallel()
	play(t, "backend comes back", 2, quick, func(s *scenario) {
		s.create(s.endpoints())
		client := s.sendFromPod()
		host := s.hosts[0]
		s.begin()
		longest := time.Duration(0)
		for range 3 {
			s.death(client, quick.Refusal(), host, kill)
			s.Expect(host.Start()).To(Succeed())
			back := time.Now()
			s.awaitIn(host, quick.Recovery()+10*time.Second)
			longest = max(longest, time.Since(back))
			s.Eventually(func() bool {
				return slices.ContainsFunc(client.Between(back, time.Now()), func(r traffic.Request) bool { return r.Backend == host.Name })
			}).WithTimeout(5*time.Second).Should(BeTrue(), "the backend is to get requests again")
			s.Expect(e2e.Failures(client.Between(back, time.Now()))).To(BeZero())
		}
		s.recordMax("recoveryMs", longest)
		s.recordMax("recoveryBoundMs", quick.Recovery())
		s.expectDeathsInTime()
		s.Expect(longest).To(BeNumerically("<=", quick.Recovery()+e2e.Slack))
		s.finish()
	})
}
