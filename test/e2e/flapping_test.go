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
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"farpoint.dev/farpoint/test/e2e"
)

// If every second check fails, the verdict does not change, and nothing is written.
func TestFlapping(t *testing.T) {
	t.Parallel()
	play(t, "every other health check fails", 2, quick, func(s *scenario) {
		s.create(s.endpoints())
		s.sendFromPod()
		s.begin()
		_, err := s.hosts[0].Behave(e2e.Behaviour{FailEvery: 2})
		s.Expect(err).NotTo(HaveOccurred())
		time.Sleep(8 * time.Second)
		s.finish()
		s.Expect(s.row.Failures).To(BeZero())
		s.Expect(s.row.SliceWrites).To(BeZero())
	})
}

// A backend that dies again and again recovers later and later. Its deaths are found as fast as
// ever.
func TestFlappingIsDamped(t *testing.T) {
	t.Parallel()
	settings := e2e.Settings{Interval: 500 * time.Millisecond, Fast: 250 * time.Millisecond, Timeout: 500 * time.Millisecond, FailureThreshold: 2, SuccessThreshold: 2}
	const (
		free   = 5 // deaths that are not counted
		damped = 3 // further ones, each of which doubles the passes that it takes to recover
	)
	play(t, "backend dies and recovers again and again", 2, settings, func(s *scenario) {
		s.create(s.endpoints())
		s.sendFromPod()
		host := s.hosts[0]
		s.begin()
		for deaths := 1; deaths <= free+damped; deaths++ {
			at, err := host.Behave(e2e.Behaviour{FailEvery: 1})
			s.Expect(err).NotTo(HaveOccurred())
			s.awaitOut(host, 10*time.Second)
			s.recordMax("outMs", time.Since(at))
			well := s.passChecks(host)
			s.awaitIn(host, 20*time.Second)
			took, passes := time.Since(well), settings.SuccessThreshold<<max(deaths-free, 0)
			if deaths <= free {
				s.recordMax("firstRecoveriesMs", took)
			}
			s.row.Further["lastRecoveryMs"] = float64(took.Milliseconds())
			shortest := time.Duration(passes-1) * settings.Fast
			s.Expect(took).To(BeNumerically(">=", shortest*9/10), "after %d deaths", deaths)
			s.Expect(took).To(BeNumerically("<=", shortest+settings.Interval+settings.Timeout+e2e.Slack), "after %d deaths", deaths)
		}
		s.row.DetectionBound = settings.Refusal()
		s.finish()
		s.Expect(s.row.Failures).To(BeZero())
		s.Expect(s.row.Further["outMs"]).To(BeNumerically("<=", (settings.Refusal() + e2e.Slack).Milliseconds()))
		s.Expect(s.row.SliceWrites).To(Equal(2 * (free + damped)))
	})
}
