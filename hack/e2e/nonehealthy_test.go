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

	"farpoint.dev/farpoint/hack/e2e"
)

// Without a backend clients are refused, and as soon as there is one again they are
// served.
func TestAllDown(t *testing.T) {
	t.Parallel()
	play(t, "all backends down and back", 3, quick, func(s *scenario) {
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
		back := time.Now()
		for _, host := range s.hosts {
			s.Expect(host.Mend()).To(Succeed())
		}
		mended := time.Since(back)
		for _, host := range s.hosts {
			s.isIn(host, quick.Recovery()+10*time.Second)
		}
		time.Sleep(2 * time.Second)
		outage := e2e.LastFailure(client.Between(back, time.Now()), back)
		s.note("lastFailureAfterReturnMs", outage)
		s.note("recoveryBoundMs", quick.Recovery())
		s.Expect(outage).To(BeNumerically("<=", mended+quick.Recovery()+e2e.Slack))
		s.finish()
	})
}
