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
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/transport"
)

// overloadTargets are HTTP endpoints of the epoll server, all of them initially healthy.
func overloadTargets(t *testing.T, port uint16, owners, item int, timing Timing) map[probes.Owner][]Target {
	t.Helper()
	registry, all := protocol.NewRegistry(transport.NewDialer(loopbackOnly)), map[probes.Owner][]Target{}
	for index := range owners * item {
		of := probes.Owner{Namespace: fmt.Sprint("namespace-", index/item%100), Name: fmt.Sprint("owner-", index/item)}
		address := netip.AddrFrom4([4]byte{127, byte(1 + index>>16), byte(index >> 8), byte(index)})
		prober, err := registry.New(protocol.Definition{URL: fmt.Sprintf("http:///%d", index), Address: address, Port: port})
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(index)))
		all[of] = append(all[of], Target{
			Key: fmt.Sprint(index), Identity: Identity(digest[:16]), Prober: prober,
			Timing: timing, Thresholds: thresholds, Initial: health.New(health.StateHealthy),
		})
	}
	return all
}

// countOut counts the endpoints that are not healthy.
func countOut(s *Scheduler, all map[probes.Owner][]Target) (count int) {
	for of := range all {
		for _, current := range s.Health(of) {
			if current.State != health.StateHealthy {
				count++
			}
		}
	}
	return count
}

// Asked for forty thousand probes a second, which is more than two processors can make and
// answer, the scheduler takes no healthy endpoint out, and a dead one within a multiple of what
// a turn of all endpoints takes on this machine.
func TestOverload_MoreProbesDueThanCanBeMade_OnlyTheDeadIsOut(t *testing.T) {
	const owners, item, dead = 2000, 10, 7777
	hurried := Timing{Interval: 500 * time.Millisecond, FastInterval: 500 * time.Millisecond, Timeout: 300 * time.Millisecond}
	port, kill := startEpollServer(t)
	all, metrics := overloadTargets(t, port, owners, item, hurried), NewMetrics()
	passed := func() float64 { return testutil.ToFloat64(metrics.reasons[probes.ReasonNone]) }
	s := started(t, Options{Metrics: metrics})
	startedAt := time.Now()
	for of, targets := range all {
		s.Set(of, targets)
	}
	probetest.Eventually(t, "probing is under way", func() bool { return passed() > 1000 && time.Since(startedAt) > time.Second })
	rate := passed() / time.Since(startedAt).Seconds()
	cycle := max(time.Duration(owners*item/rate*float64(time.Second)), hurried.Interval)

	kill(dead)
	killed := time.Now()
	before := passed()
	// Three turns of all endpoints, however long they take by then, and three times the bound.
	tooLate := func() bool {
		return passed()-before > 3*owners*item && time.Since(killed) > 3*3*(hurried.FastInterval+hurried.Timeout)
	}
	for countOut(s, all) == 0 && !tooLate() {
		time.Sleep(20 * time.Millisecond)
	}
	took, out := time.Since(killed), countOut(s, all)
	of := probes.Owner{Namespace: fmt.Sprint("namespace-", dead/item%100), Name: fmt.Sprint("owner-", dead/item)}
	if state := s.Health(of)[fmt.Sprint(dead)].State; state != health.StateUnhealthy || out != 1 {
		t.Errorf("after %v, the dead endpoint is %v, and %d are out; want only the dead one", took, state, out)
	}
	t.Logf("%.0f probes a second; all endpoints in %v; the dead one was out after %v; results: %v",
		rate, cycle, took, (&drivenLoop{Scheduler: s}).results())
	if late := testutil.ToFloat64(metrics.late[lateStart]); cycle > 2*hurried.Interval && (late == 0 || testutil.ToFloat64(metrics.shedProbes) == 0) {
		t.Errorf("%v late and %v shed, although only %.0f probes a second were made", late, testutil.ToFloat64(metrics.shedProbes), rate)
	}
}
