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
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/transport"
)

// A process of its own probes in TestStoppedProcess; TestMain runs it when it finds an
// endpoint in this variable.
const engineProcessVariable = "FARPOINT_TEST_ENGINE_ENDPOINT"

const (
	stoppedTimeout = 1500 * time.Millisecond
	// stopLength outlasts the timeouts by little: that is when a stop is hard to notice.
	stopLength = stoppedTimeout + 100*time.Millisecond
)

// engineProcess probes an endpoint by the loop and in goroutines until its input ends, and
// prints how often owners were notified of a change, and what the results were.
func engineProcess(endpoint string) error {
	metrics := NewMetrics()
	s := New(Options{Metrics: metrics, Notify: func(probes.Owner) { fmt.Println("told") }})
	var targets []Target
	for i, settings := range []*protocol.HTTPSettings{nil, {ExpectedBody: regexp.MustCompile("ok")}} {
		def := probeOf(netip.MustParseAddrPort(endpoint), "http://")
		def.HTTP = settings
		prober, err := protocol.NewRegistry(transport.NewDialer(loopbackOnly)).New(def)
		if err != nil {
			return err
		}
		targets = append(targets, Target{
			Key: fmt.Sprint(i), Identity: Identity{byte(i)}, Prober: prober, Thresholds: health.Thresholds{Failure: 1, Success: 1},
			Timing: Timing{Interval: 100 * time.Millisecond, FastInterval: 100 * time.Millisecond, Timeout: stoppedTimeout},
		})
	}
	s.Set(owner, targets)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Start(ctx) }()
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Println(healthyOf(s), "healthy")
	fmt.Println(testutil.ToFloat64(metrics.reasons[probes.ReasonStalled]), "stalled")
	cancel()
	return <-ended
}

// TestStoppedProcess stops a process in the midst of its probes, and lets it go on when
// their time is over. The endpoints had no chance.
func TestStoppedProcess(t *testing.T) {
	var silences atomic.Bool
	var answered, waiting atomic.Int32
	endpoint := probetest.Serve(t, func(conn net.Conn) {
		probetest.ReadRequest(conn)
		if silences.Load() {
			waiting.Add(1)
			return
		}
		_, _ = io.WriteString(conn, probetest.Well)
		answered.Add(1)
	})
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), engineProcessVariable+"="+endpoint.String())
	var output bytes.Buffer
	process.Stdout, process.Stderr = &output, os.Stderr
	input, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = process.Process.Kill() }()

	probetest.Eventually(t, "it probes", func() bool { return answered.Load() >= 10 })
	silences.Store(true)
	probetest.Eventually(t, "both probes are under way", func() bool { return waiting.Load() == 2 })
	signal(t, process, syscall.SIGSTOP)
	silences.Store(false)
	time.Sleep(stopLength)
	before := answered.Load()
	signal(t, process, syscall.SIGCONT)
	probetest.Eventually(t, "it probes again", func() bool { return answered.Load() >= before+10 })

	input.Close()
	if err := process.Wait(); err != nil {
		t.Error(err)
	}
	if want := "told\ntold\n2 healthy\n2 stalled\n"; output.String() != want {
		t.Errorf("it said:\n%s\nwant:\n%s", &output, want)
	}
}

func signal(t *testing.T, process *exec.Cmd, what os.Signal) {
	t.Helper()
	if err := process.Process.Signal(what); err != nil {
		t.Fatal(err)
	}
}
