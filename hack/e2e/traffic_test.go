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
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"farpoint.dev/farpoint/hack/e2e"
)

// settle is for how long after a bound requests are watched that should not fail any more.
const settle = time.Second

// deaths makes hosts ill, one after the other, and finds out how long requests failed
// each time.
func (s *scenario) deaths(client *e2e.Client, bound time.Duration, hosts []*e2e.Host, fault func(*e2e.Host) (time.Time, error)) {
	s.t.Helper()
	s.row.DetectionBound = bound
	var lasts []time.Duration
	for _, host := range hosts {
		at, err := fault(host)
		s.Expect(err).NotTo(HaveOccurred())
		s.isOut(host, bound+10*time.Second)
		time.Sleep(time.Until(at.Add(bound + settle)))
		lasts = append(lasts, e2e.LastFailure(client.Between(at, time.Now()), at))
	}
	slices.Sort(lasts)
	median := lasts[len(lasts)/2]
	s.row.LastFailure = max(s.row.LastFailure, lasts[len(lasts)-1])
	s.row.Further["medianLastFailureMs"] = float64(median.Milliseconds())
	s.Expect(s.row.LastFailure).To(BeNumerically("<=", bound+e2e.Slack), "the longest time from a death to the last request that failed")
	s.Expect(median).To(BeNumerically("<=", bound+100*time.Millisecond), "the median of %v", lasts)
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

func TestDeaths(t *testing.T) {
	// With these, all is over in less than two seconds; docs/user-guide.md names them.
	fastest := e2e.Settings{Interval: time.Second, Fast: 500 * time.Millisecond, Timeout: 500 * time.Millisecond, FailureThreshold: 1, SuccessThreshold: 2}
	for _, death := range []struct {
		name     string
		settings e2e.Settings
		bound    time.Duration
		fault    func(*e2e.Host) (time.Time, error)
	}{
		{"backend killed (RST)", quick, quick.Refusal(), kill},
		{"host cut off (packets dropped)", quick, quick.Silence(), cut},
		{"backend answers 503", quick, quick.Refusal(), fail},
		{"backend too slow", quick, quick.Silence(), slow},
		{"backend stopped (SIGSTOP)", quick, quick.Silence(), freeze},
		{"backend killed, fastest settings", fastest, fastest.Refusal(), kill},
		{"host cut off, fastest settings", fastest, fastest.Silence(), cut},
	} {
		t.Run(death.name, func(t *testing.T) {
			t.Parallel()
			s := newScenario(t, death.name, 6, death.settings)
			s.declare(s.endpoints())
			client := s.sendFromPod()
			s.begin()
			s.deaths(client, death.bound, s.hosts[:5], death.fault)
			s.finish()
			if death.settings == fastest {
				s.Expect(s.row.LastFailure).To(BeNumerically("<", 2*time.Second))
			}
		})
	}
}

func TestDeathOverUDP(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "UDP backend killed", 4, quick)
	s.declare(s.endpoints())
	client := s.send(s.pod().Namespace, "udp", s.clusterIP(7), requestRate)
	s.begin()
	s.deaths(client, quick.Refusal(), s.hosts[:3], kill)
	s.finish()
}

func TestDeathOverIPv6(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "IPv6 backend killed", 4, quick)
	s.ipv6 = true
	s.declare(s.endpoints())
	client := s.sendFromPod()
	s.begin()
	s.deaths(client, quick.Refusal(), s.hosts[:3], kill)
	s.finish()
}

func TestDeathBehindNodePort(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "backend killed, clients by NodePort", 4, quick)
	outside := s.addHost("client", 1)
	s.hosts = s.hosts[:4]
	s.declare(s.endpoints())
	port := strconv.Itoa(int(s.service.Spec.Ports[0].NodePort))
	client := s.send(outside.Namespace, "tcp", net.JoinHostPort(world.Router().Address.String(), port), requestRate)
	s.begin()
	s.deaths(client, quick.Refusal(), s.hosts[:3], kill)
	s.finish()
}

func TestRecovery(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "backend comes back", 2, quick)
	s.declare(s.endpoints())
	client := s.sendFromPod()
	host := s.hosts[0]
	s.begin()
	longest := time.Duration(0)
	for range 3 {
		s.deaths(client, quick.Refusal(), s.hosts[:1], kill)
		s.Expect(host.Start()).To(Succeed())
		back := time.Now()
		s.isIn(host, quick.Recovery()+10*time.Second)
		longest = max(longest, time.Since(back))
		s.Eventually(func() bool {
			return slices.ContainsFunc(client.Between(back, time.Now()), func(r e2e.Request) bool { return r.Backend == host.Name })
		}).WithTimeout(5*time.Second).Should(BeTrue(), "the backend is to get requests again")
		s.Expect(e2e.Failures(client.Between(back, time.Now()))).To(BeZero())
	}
	s.row.Further["recoveryMs"] = float64(longest.Milliseconds())
	s.row.Further["recoveryBoundMs"] = float64(quick.Recovery().Milliseconds())
	s.Expect(longest).To(BeNumerically("<=", quick.Recovery()+e2e.Slack))
	s.finish()
}

// One failed check in two is no death: the verdict stands, and nobody writes.
func TestFlapping(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "every other health check fails", 2, quick)
	s.declare(s.endpoints())
	s.sendFromPod()
	s.begin()
	_, err := s.hosts[0].Behave(e2e.Behaviour{FailEvery: 2})
	s.Expect(err).NotTo(HaveOccurred())
	time.Sleep(8 * time.Second)
	s.finish()
	s.Expect(s.row.Failures).To(BeZero())
	s.Expect(s.row.SliceWrites).To(BeZero())
}

// Without a backend clients are refused, and as soon as there is one again they are
// served.
func TestAllDown(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "all backends down and back", 3, quick)
	s.declare(s.endpoints())
	client := s.sendFromPod()
	s.begin()
	for _, host := range s.hosts {
		_, err := host.Cut()
		s.Expect(err).NotTo(HaveOccurred())
	}
	for _, host := range s.hosts {
		s.isOut(host, quick.Silence()+10*time.Second)
	}
	down := time.Now().Add(e2e.Slack)
	time.Sleep(2 * time.Second)
	// Some hear nothing: the kernel sends only so many refusals a second to one client.
	requests := client.Between(down, down.Add(time.Second))
	s.Expect(e2e.Failures(requests)).To(Equal(len(requests)))
	s.Expect(requests).To(ContainElement(HaveField("Outcome", e2e.Refused)))
	for _, host := range s.hosts {
		s.Expect(host.Mend()).To(Succeed())
	}
	back := time.Now()
	for _, host := range s.hosts {
		s.isIn(host, quick.Recovery()+10*time.Second)
	}
	time.Sleep(2 * time.Second)
	outage := e2e.LastFailure(client.Between(back, time.Now()), back)
	s.row.Further["lastFailureAfterReturnMs"] = float64(outage.Milliseconds())
	s.row.Further["recoveryBoundMs"] = float64(quick.Recovery().Milliseconds())
	s.Expect(outage).To(BeNumerically("<=", quick.Recovery()+e2e.Slack))
	s.finish()
}
