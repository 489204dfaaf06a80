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
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	clocktesting "k8s.io/utils/clock/testing"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/overload"
	"farpoint.dev/farpoint/probes/probetest"
)

// drivenLoop is a scheduler whose turns a test makes, one by one, by a clock of its own.
type drivenLoop struct {
	*Scheduler
	clock *clocktesting.FakeClock
}

var shortTimeout = Timing{Interval: 10 * time.Second, FastInterval: time.Second, Timeout: 300 * time.Millisecond}

// driveLoop begins a probe of each target.
func driveLoop(t *testing.T, targets []Target) *drivenLoop {
	t.Helper()
	clock := clocktesting.NewFakeClock(time.Unix(1e9, 0))
	d := &drivenLoop{clock: clock, Scheduler: New(Options{
		Clock: clock, Metrics: NewMetrics(), Notify: func(probes.Owner) {}, MaxInFlightPerDestination: len(targets),
	})}
	d.starts = overload.NewStartLimit(len(targets))
	d.Set(owner, targets)
	for range 1 + len(targets)/burst {
		batch, _, _ := d.gather(t.Context(), nil)
		for _, item := range batch {
			d.loop.begin(t.Context(), item.probe)
		}
	}
	t.Cleanup(func() { d.loop.close() })
	if got := len(d.loop.exchanges); got != len(targets) {
		t.Fatalf("%d probes are under way, want %d", got, len(targets))
	}
	return d
}

// runOnce has the loop process what has happened. It is the loop that is late, and not the
// whole process, see [overload.Stalls].
func (d *drivenLoop) runOnce(ctx context.Context) {
	d.stalls.Plan(d.now())
	d.loop.wait(ctx, d.now())
}

// awaitSockets waits until every probe's socket is in a state.
func (d *drivenLoop) awaitSockets(t *testing.T, ready func(fd int) bool) {
	t.Helper()
	for fd := range d.loop.exchanges {
		probetest.Eventually(t, "something has arrived at the socket", func() bool { return ready(fd) })
	}
}

func readable(fd int) bool {
	count, _, err := syscall.Recvfrom(fd, make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return count > 0 && err == nil
}

func isConnected(fd int) bool {
	_, err := syscall.Getpeername(fd)
	return err == nil
}

// results are how many probes ended with each reason.
func (d *drivenLoop) results() map[string]float64 {
	counts := map[string]float64{}
	for reason, counter := range d.options.Metrics.reasons {
		if counter != nil && testutil.ToFloat64(counter) > 0 {
			counts[probes.Reason(reason).String()] = testutil.ToFloat64(counter)
		}
	}
	return counts
}

func (d *drivenLoop) expect(t *testing.T, reason probes.Reason, count int) {
	t.Helper()
	if got, want := fmt.Sprint(d.results()), fmt.Sprint(map[string]float64{reason.String(): float64(count)}); got != want {
		t.Errorf("results %v, want %v", got, want)
	}
}

// httpTargets are as many targets of one HTTP server, which serves each connection.
func httpTargets(t *testing.T, count int, serveOne func(net.Conn)) []Target {
	t.Helper()
	prober := newProber(t, probeOf(probetest.Serve(t, serveOne), "http://"))
	targets := many(count, func(int) probes.Prober { return prober })
	for i := range targets {
		targets[i].Timing, targets[i].Initial = shortTimeout, health.New(health.StateUnknown)
	}
	return targets
}

// What lies in the socket when its deadline is judged has arrived in time, and that of more
// probes than the kernel reports at once.
func TestLoop_AnswersLieInSockets_NoneIsLate(t *testing.T) {
	const count = 3 * 128
	d := driveLoop(t, httpTargets(t, count, probetest.Closing(probetest.Responding(probetest.Well))))
	d.awaitSockets(t, isConnected)
	d.runOnce(t.Context())
	d.awaitSockets(t, readable)
	d.clock.Step(10 * shortTimeout.Timeout)
	d.runOnce(t.Context())
	d.expect(t, probes.ReasonNone, count)
}

// A connection that was established in time, and that the loop looks at after the deadline,
// says nothing about the endpoint.
func TestLoop_RequestNotSentInTime_IsOverload(t *testing.T) {
	d := driveLoop(t, httpTargets(t, 1, probetest.Closing(probetest.Responding(probetest.Well))))
	d.runOnce(t.Context()) // the loop has looked, perhaps before the connection stood
	if len(d.results()) > 0 {
		t.Fatalf("results %v", d.results())
	}
	d = driveLoop(t, httpTargets(t, 1, probetest.Closing(probetest.Responding(probetest.Well))))
	d.awaitSockets(t, isConnected)
	d.clock.Step(shortTimeout.Timeout + overload.LateSlack)
	d.runOnce(t.Context())
	d.expect(t, probes.ReasonCrowded, 1)
	if late := testutil.ToFloat64(d.options.Metrics.late[lateExchange]); late != 1 {
		t.Errorf("%v probes counted as late", late)
	}
}

// The time in which a connection waits for its request is not the endpoint's.
func TestLoop_RequestSentLate_ExtendsTheDeadline(t *testing.T) {
	const late = 200 * time.Millisecond
	for name, answers := range map[string]bool{"answers": true, "is silent": false} {
		t.Run(name, func(t *testing.T) {
			received, answer := make(chan bool), make(chan bool)
			d := driveLoop(t, httpTargets(t, 1, func(conn net.Conn) {
				probetest.ReadRequest(conn)
				close(received)
				if <-answer {
					_, _ = conn.Write([]byte(probetest.Well))
				}
				<-answer
			}))
			t.Cleanup(func() { close(answer) })
			d.awaitSockets(t, isConnected)
			d.clock.Step(late)
			d.runOnce(t.Context())
			<-received
			d.clock.Step(shortTimeout.Timeout - time.Millisecond)
			d.runOnce(t.Context())
			if got := d.results(); len(got) > 0 {
				t.Fatalf("results %v before the endpoint has had its timeout", got)
			}
			answer <- answers
			if answers {
				d.awaitSockets(t, readable)
				d.runOnce(t.Context())
				d.expect(t, probes.ReasonNone, 1)
				return
			}
			d.clock.Step(2 * tick)
			d.runOnce(t.Context())
			d.expect(t, probes.ReasonTimeout, 1)
		})
	}
}

// However late the loop is, an endpoint that has not answered by then has had its time, and one
// that refuses has said so.
func TestLoop_LateForSilenceAndRefusal_BlamesTheEndpoint(t *testing.T) {
	for name, test := range map[string]struct {
		targets []Target
		want    probes.Reason
	}{
		"no connection": {[]Target{target(newProber(t, probeOf(probetest.BlackHole(t), "http://")))}, probes.ReasonTimeout},
		"refused":       {[]Target{target(newProber(t, probeOf(probetest.Refusing(t), "http://")))}, probes.ReasonConnectionRefused},
	} {
		t.Run(name, func(t *testing.T) {
			d := driveLoop(t, test.targets)
			probetest.Eventually(t, "the probe ends", func() bool {
				d.clock.Step(timing.Timeout + 2*overload.LateSlack)
				d.runOnce(t.Context())
				return len(d.results()) > 0
			})
			d.expect(t, test.want, 1)
		})
	}
}

// A loop that is on time blames the endpoint whose connection stands too late.
func TestLoop_OnTime_ConnectionStandsTooLate_IsTimeout(t *testing.T) {
	l := &loop{}
	if got := l.missed(time.Second, time.Second+tick); got != probes.FailureResult(probes.ReasonTimeout) {
		t.Errorf("got %+v", got)
	}
}
