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
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e"
)

// cuts returns how long the operator's network is cut: those that a CI run has time for, or all.
func cuts() []time.Duration {
	list := []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second}
	if *repetitions > 1 {
		list = append(list, 30*time.Second)
	}
	return list
}

// phases returns at how many points between two probes each cut begins.
func phases() int { return max(2, *repetitions) }

// protection is what protects an installation that is too small for statistics.
type protection string

const (
	withCanary  protection = "a canary"
	lastHealthy protection = "PublishLastHealthy"
	nothing     protection = "nothing"
)

// In installations of one, two and three endpoints in one network, the operator's network is cut for a
// while. Then an endpoint dies.
func TestSmallInstallations(t *testing.T) {
	t.Parallel()
	for _, with := range []protection{withCanary, lastHealthy, nothing} {
		for size := 1; size <= 3; size++ {
			t.Run(fmt.Sprintf("%d with %s", size, with), func(t *testing.T) {
				installation(t, fmt.Sprintf("operator's network cut, %d endpoints in one network, with %s", size, with), func(s *scenario) {
					operator := s.operateSmall(size, with)
					s.begin()
					for _, length := range cuts() {
						for phase := range phases() {
							s.cutFor(operator, length, time.Duration(phase)*quick.Interval/time.Duration(phases()), with)
						}
					}
					s.endSmall(with)
				})
			})
		}
	}
}

// operateSmall starts an operator and declares endpoints in one network.
func (s *scenario) operateSmall(size int, with protection) *e2e.Operator {
	s.t.Helper()
	var arguments []string
	rules := farpointv1.Availability{}
	switch with {
	case withCanary:
		arguments = append(arguments, s.addCanary())
	case lastHealthy:
		rules.WhenNoneHealthy = farpointv1.PublishLastHealthy
	}
	operator := s.operate(arguments...)
	hosts, err := world.NewNeighbours("small", size)
	s.Expect(err).NotTo(HaveOccurred())
	for _, host := range hosts {
		s.cleanup(func() { s.Expect(host.Remove()).To(Succeed()) })
	}
	s.hosts = hosts
	s.create(s.endpoints(), availability(rules))
	return operator
}

// cutFor cuts the operator's network for a time, the phase after the start of a probe, and expects
// what the protection promises.
func (s *scenario) cutFor(operator *e2e.Operator, length, phase time.Duration, with protection) {
	s.t.Helper()
	s.awaitAllIn(quick.Recovery()+10*time.Second, s.hosts...)
	now := time.Now()
	s.Eventually(func() int { return len(s.hosts[0].ConnectionsFrom(operator.Pod.Address, now)) }).WithTimeout(5 * time.Second).WithPolling(5 * time.Millisecond).ShouldNot(BeZero())
	time.Sleep(phase)
	cutAt := time.Now()
	s.Expect(operator.Isolate()).To(Succeed())
	time.Sleep(length)
	s.Expect(operator.Reconnect()).To(Succeed())
	back := time.Now()
	time.Sleep(quick.Silence()) // what was wrongly concluded would be published by then
	s.awaitAllIn(quick.Recovery()+10*time.Second, s.hosts...)
	out, longest := s.outSince(cutAt, back)
	switch with {
	case withCanary:
		s.Expect(out).To(BeZero(), "taken out by a cut of %s, %s after a probe", length, phase)
	case lastHealthy:
		s.Expect(s.minPublished(cutAt)).To(BeNumerically(">=", 1), "published in a cut of %s, %s after a probe", length, phase)
	}
	s.recordMax("backAfterCutMs", longest)
	// A recovery takes two passes; how fast they come is reported. What stays out for longer than
	// this waits for something else.
	s.Expect(longest).To(BeNumerically("<=", quick.Recovery()+5*time.Second), "out after a cut of %s, %s after a probe", length, phase)
}

// outSince returns how often endpoints were taken out since a time, and how long after the time back
// the last of them was back.
func (s *scenario) outSince(since, back time.Time) (count int, longest time.Duration) {
	for _, change := range s.ground.watcher.Changes(s.namespace, since) {
		if change.Ready {
			longest = max(longest, change.At.Sub(back))
		} else {
			count++
		}
	}
	return count, longest
}

// minPublished returns the smallest number of published endpoints since a time at which all were published.
func (s *scenario) minPublished(since time.Time) int {
	published := len(s.hosts)
	least := published
	changes := s.ground.watcher.Changes(s.namespace, since)
	for i, change := range changes {
		if published--; change.Ready {
			published += 2
		}
		// Changes of one write happen at the same time.
		if i+1 == len(changes) || changes[i+1].At.After(change.At) {
			least = min(least, published)
		}
	}
	return least
}

// endSmall makes one endpoint die after the other, and adds the row. With PublishLastHealthy the last
// one stays. Deaths that one replica alone cannot detect are counted, and are no error.
func (s *scenario) endSmall(with protection) {
	s.t.Helper()
	wrongly := len(s.wronglyOut())
	s.begin()
	mortal := s.hosts
	if with == lastHealthy {
		mortal = mortal[1:]
	}
	for _, host := range mortal {
		s.killAndRepair(host, quick.Refusal(), kill, host.Start)
		s.killAndRepair(host, quick.Silence(), freeze, host.Thaw)
	}
	if with == withCanary {
		s.row.HealthyTakenOut = wrongly
	} else {
		s.row.Further["takenOutByCuts"] = float64(wrongly)
	}
	s.finish()
}
