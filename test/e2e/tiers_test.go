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
	"farpoint.dev/farpoint/test/e2e/traffic"
)

// A primary dies and comes back, twice, in two ways. Only the tier in use gets traffic.
func TestPrimaryAndStandby(t *testing.T) {
	t.Parallel()
	play(t, "primary to standby and back", 2, quick, func(s *scenario) {
		primary, standby := s.hosts[0], s.hosts[1]
		s.apply(s.sample("primary-standby.yaml"))
		client := s.sendFromPod()
		s.leaving = []*e2e.Host{standby} // whenever the primary is back
		s.begin()
		for _, death := range []struct {
			bound time.Duration
			fault func(*e2e.Host) (time.Time, error)
			mend  func() error
		}{
			{quick.Refusal(), kill, primary.Start},
			{quick.Silence(), cut, primary.Repair},
		} {
			start := time.Now()
			time.Sleep(settleTime)
			at := s.death(client, death.bound, primary, death.fault)
			s.Expect(lastTo(client, standby, start)).To(BeNumerically(">", 0))
			s.Expect(backends(client, start, at)).To(And(HaveKey(primary.Name), Not(HaveKey(standby.Name))))

			mended := time.Now()
			s.Expect(death.mend()).To(Succeed())
			s.awaitIn(primary, quick.Recovery()+10*time.Second)
			back := time.Now()
			s.recordMax("failbackMs", back.Sub(mended))
			time.Sleep(settleTime)
			s.Expect(e2e.Failures(client.Between(mended, time.Now()))).To(BeZero(), "nobody notices the way back")
			s.recordMax("lastToStandbyMs", lastTo(client, standby, back))
			s.Expect(lastTo(client, standby, back)).To(BeNumerically("<=", e2e.Slack))
			s.recordMax("bothMs", overlap(client.Between(mended, time.Now()), primary, standby))
		}
		s.expectDeathsInTime()
		s.finish()
		s.neverBoth(primary, standby)
		s.Expect(s.row.SliceWrites).To(Equal(4), "one for each way")
		s.Expect(s.row.Further["failbackMs"]).To(BeNumerically("<=", (quick.Recovery() + e2e.Slack).Milliseconds()))
		s.Expect(s.row.Further["bothMs"]).To(BeNumerically("<=", e2e.Slack.Milliseconds()))
	})
}

// overlap returns how long requests went to both hosts: from the first answer of the one to the last
// answer of the other.
func overlap(requests []traffic.Request, one, other *e2e.Host) time.Duration {
	var first, last time.Time
	for _, request := range requests {
		switch {
		case request.Backend == one.Name && (first.IsZero() || request.At.Before(first)):
			first = request.At
		case request.Backend == other.Name && request.At.After(last):
			last = request.At
		}
	}
	return max(last.Sub(first), 0)
}

// neverBoth expects that one of two hosts was published at any time, and never both.
func (s *scenario) neverBoth(one, other *e2e.Host) {
	s.t.Helper()
	ready := map[string]bool{s.address(one): true}
	changes := world.watcher.Changes(s.namespace, s.measuredSince)
	s.Expect(changes).NotTo(BeEmpty())
	for i, change := range changes {
		ready[change.Address] = change.Ready
		if last := i+1 == len(changes); last || changes[i+1].At.After(change.At) {
			s.Expect(ready[s.address(one)]).NotTo(Equal(ready[s.address(other)]), "after %v", change)
		}
	}
}
